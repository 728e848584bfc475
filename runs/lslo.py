"""Language-specific LoRA from the indexing to the pruned adapters, beside its baselines, on the small seq2seq base.

    .venv/bin/python runs/lslo.py [learn demand base full body shared equal learned pruned] [--epochs 15 --limit 400 …]

A step whose result is in ``--out`` is over; one that was interrupted goes on. ``learn`` and ``demand`` write
what later steps use: the learned indexing, and the ranks that the languages' demand suggests. The others are
systems: each is trained on the tuning set, stopped early by its dev part, and scored on its test part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lslo_data import LANGUAGES
from lslo_systems import Setting, clear, measure_system, parameters, ranks_within, texts, tiny_base, tune
from lslo_watch import write_json

from lingraft import base
from lingraft.atoms import LingraftError
from lingraft.direction import recipe_file
from lingraft.fit import Full, Joint, Pruning
from lingraft.fit.joint_learner import JointLearner
from lingraft.probe import suggest, survival

PAPER = "https://aclanthology.org/2024.emnlp-main.1177/"
SMOKE = {
    "epochs": 2,
    "learn_epochs": 1,
    "rows": 128,
    "limit": 4,
    "dev_limit": 1,
    "test_limit": 2,
    "share": 0.3,
    "probe_rank": 2,
    "full_rates": "1e-4,1e-3",
    "base": None,
}
"""Values that run everything in a minute or two; the base is a random one."""
FREE = ("steps", "smoke", "out", "rates", "full_rates", "batch", "fetch")
"""Options that may differ between calls on one ``--out``; the results say which rates were tried."""


def learn(setting: Setting) -> None:
    """Learn which language each layer is indexed by, with the adapters of both at each layer."""
    args = setting.args
    (rate, *_) = rates(args.rates)
    regime = Joint(
        **common(args) | {"epochs": args.learn_epochs}, learning_rate=rate, rank=args.probe_rank, learn="layer"
    )
    tuned = tune(setting, "learn", [regime])
    (learner,) = tuned.run.learners
    found = learner.indexing() if isinstance(learner, JointLearner) else None
    if found is None:
        raise RuntimeError("nothing was learned")
    comment = f"Learned by runs/lslo.py on benchmarks/seq2seq_base, as in {PAPER}"
    recipe_file.write(found.recipe(), setting.path("indexing.yaml"), comment)
    result = {**found.to_json(), "trials": tuned.trials, "regime": regime.model_dump(mode="json")}
    write_json(setting.path("indexing.json"), result)
    print(f"learned indexing: mean entropy {found.entropy():.3f} bits, mean hardness {found.hardness():.3f}")


def demand(setting: Setting) -> None:
    """Prune across languages at equal ranks, and suggest ranks by what each language keeps."""
    args = setting.args
    (rate, *_) = rates(args.rates)
    regime = Joint(
        **common(args),
        learning_rate=rate,
        rank=args.probe_rank,
        indexing=str(setting.path("indexing.yaml")),
        prune=pruning(args, "layer"),
    )
    tuned = tune(setting, "demand", [regime])
    found = survival(tuned.run.bank)
    ranks = suggest(found, total=ranks_within(setting.base, args.share))
    setting.path("survival.json").write_text(found.to_json(), encoding="utf-8")
    result = {
        "ranks": ranks,
        "shares": found.shares(lambda cell: cell.language),
        "parameters": parameters(setting.base, tuned),
        "trials": tuned.trials,
        "regime": regime.model_dump(mode="json"),
    }
    write_json(setting.path("ranks.json"), result)
    print("suggested ranks: " + ", ".join(f"{code} {rank}" for code, rank in ranks.items()))


def alone(setting: Setting) -> None:
    """Measure the base as it is."""
    measure_system(setting, "base", None)


def full(setting: Setting) -> None:
    """Fine-tune all parameters."""
    args = setting.args
    regimes = [Full(**common(args), learning_rate=rate) for rate in rates(args.full_rates)]
    tuned = tune(setting, "full", regimes)
    measure_system(setting, "full", tuned)
    clear(tuned)


def body(setting: Setting) -> None:
    """Fine-tune all parameters but the embeddings, which adapters don't reach either, at the best rate of ``full``."""
    rate = json.loads(setting.path("full.json").read_text())["regime"]["learning_rate"]
    tuned = tune(setting, "body", [Full(**common(setting.args), learning_rate=rate, embeddings=False)])
    measure_system(setting, "body", tuned)


def adapters(name: str, values: Callable[[Setting], dict[str, Any]]) -> Callable[[Setting], None]:
    """Return the step that trains and measures adapters of the joint regime."""

    def step(setting: Setting) -> None:
        args = setting.args
        fixed = {**common(args), **values(setting)}
        tuned = tune(setting, name, [Joint(**fixed, learning_rate=rate) for rate in rates(args.rates)])
        if name == "pruned":
            setting.path("pruned-survival.json").write_text(survival(tuned.run.bank).to_json(), encoding="utf-8")
        measure_system(setting, name, tuned)
        clear(tuned)

    return step


def shared(setting: Setting) -> dict[str, Any]:
    """One update for all languages, as many parameters as all of theirs together."""
    return {"shared": True, "rank": ranks_within(setting.base, setting.args.share)}


def equal(setting: Setting) -> dict[str, Any]:
    """The same rank for every language, and the paper's indexing."""
    return {"rank": ranks_within(setting.base, setting.args.share) // len(LANGUAGES)}


def learned(setting: Setting) -> dict[str, Any]:
    """The same rank for every language, and the learned indexing."""
    return {**equal(setting), "indexing": str(setting.path("indexing.yaml"))}


def pruned(setting: Setting) -> dict[str, Any]:
    """Ranks by demand, the learned indexing, and pruning within each language."""
    return {
        "ranks": json.loads(setting.path("ranks.json").read_text())["ranks"],
        "indexing": str(setting.path("indexing.yaml")),
        "prune": pruning(setting.args, "language"),
    }


STEPS: dict[str, tuple[str, Callable[[Setting], None]]] = {
    "learn": ("indexing.json", learn),
    "demand": ("ranks.json", demand),
    "base": ("base.json", alone),
    "full": ("full.json", full),
    "body": ("body.json", body),
    "shared": ("shared.json", adapters("shared", shared)),
    "equal": ("equal.json", adapters("equal", equal)),
    "learned": ("learned.json", adapters("learned", learned)),
    "pruned": ("pruned.json", adapters("pruned", pruned)),
}
"""Each step, and the result that says that it is over."""


def common(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that all regimes share."""
    return {name: getattr(args, name) for name in ("epochs", "rows", "tokens", "patience", "precision", "seed")}


def rates(text: str) -> list[float]:
    """Return the learning rates to try."""
    return [float(rate) for rate in text.split(",")]


def pruning(args: argparse.Namespace, within: str) -> Pruning:
    """Return the paper's schedule (start 2, length 10 of 15 epochs), in proportion where there are fewer epochs."""
    start = max(1, round(2 * min(args.epochs, 15) / 15))
    length = min(max(1, round(10 * min(args.epochs, 15) / 15)), args.epochs - start)
    return Pruning(share=args.prune, start=start, length=length, within=within)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Language-specific LoRA beside its baselines.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"some of {', '.join(STEPS)}; all of them by default")
    parser.add_argument("--out", type=Path, default=None, help="folder of the results and of data/")
    parser.add_argument("--base", default="benchmarks/seq2seq_base", help="the base of runs/seq2seq_base.sh")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--learn-epochs", type=int, default=5, help="epochs of learning the indexing")
    parser.add_argument("--limit", type=int, default=None, help="most training rows of each direction")
    parser.add_argument("--dev-limit", type=int, default=30, help="most dev rows of each direction")
    parser.add_argument("--test-limit", type=int, default=None, help="most test rows of each direction")
    parser.add_argument("--share", type=float, default=0.07, help="most adapter parameters, as a share of the base's")
    parser.add_argument("--probe-rank", type=int, default=4, help="rank of all languages in learn and demand")
    parser.add_argument("--prune", type=float, default=0.9, help="share of B that is pruned at the end")
    parser.add_argument(
        "--rates", default="3e-2,1e-2", help="learning rates of adapters to try; the first for learn, demand"
    )
    # With one step of warm-up the rate falls as 1 / √step, so it is high at first; the paper's 3e-3 hardly learns here.
    parser.add_argument("--full-rates", default="1e-3,3e-3,1e-2", help="learning rates of full fine-tuning to try")
    parser.add_argument("--rows", type=int, default=256, help="training rows of a step")
    parser.add_argument("--tokens", type=int, default=4000, help="padded tokens that pass the base at once")
    parser.add_argument("--patience", type=int, default=3, help="worse epochs after which training stops")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--batch", type=int, default=128, help="test sentences that are translated at once")
    parser.add_argument("--fetch", action="store_true", help="fetch spBLEU's tokenizer if it isn't on the disk")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="everything in two minutes, on a tiny random base")
    if parser.parse_known_args()[0].smoke:
        parser.set_defaults(**SMOKE)
    args = parser.parse_args()
    if strange := sorted(set(args.steps) - set(STEPS)):
        parser.error(f"the steps must be among {', '.join(STEPS)}, but are {', '.join(strange)}")
    if args.epochs < 2:
        parser.error("`--epochs` must be at least 2: pruning needs one to start from and one to end in")
    args.out = args.out or Path("runs/out/lslo" + ("_smoke" if args.smoke else ""))
    return args


def main() -> None:
    """Run the steps whose results are missing."""
    args = parse()
    data, path = args.out / "data", args.out / "settings.json"
    if not (data / "test").is_dir():
        raise SystemExit(f"`{data}` must hold the tuning set, but does not. Run runs/lslo_data.py --out {data} first.")
    settings = {name: value for name, value in vars(args).items() if name not in FREE}
    if path.exists() and (earlier := json.loads(path.read_text())) != settings:
        other = ", ".join(sorted(name for name in settings if earlier.get(name) != settings[name]))
        raise SystemExit(f"the results in `{args.out}` must be of one setting, but {other} differ. Use another --out.")
    write_json(path, settings)
    limits = {"train": args.limit, "dev": args.dev_limit, "test": args.test_limit}
    parts = [texts(data / part, most, args.seed) for part, most in limits.items()]
    setting = Setting(base.load(args.base or tiny_base(parts[0], args.out / "base")), *parts, args)
    print(", ".join(f"{part} {2 * sum(map(len, getattr(setting, part)))} rows" for part in limits), flush=True)
    for name, (result, step) in STEPS.items():
        if args.steps and name not in args.steps:
            continue
        if setting.path(result).exists():
            print(f"{name}: {setting.path(result)} is there", flush=True)
            continue
        try:
            step(setting)
        except LingraftError as error:
            raise SystemExit(f"{name}: {error}") from None


if __name__ == "__main__":
    main()
