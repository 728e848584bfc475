"""How the systems of runs/lslo.py are trained, measured and written down."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from lslo_data import CLASSES, LANGUAGES, class_of, draw
from lslo_watch import PRINT_SECONDS, Watch, write_json

from lingraft.atoms import Direction
from lingraft.base import Base
from lingraft.base.load import quiet
from lingraft.corpus import Identifier, Pairs, between
from lingraft.corpus.profile import known_profiles
from lingraft.delta import Route, Term
from lingraft.delta.prune import counts
from lingraft.direction import attach, route
from lingraft.fit import Full, Joint, Run, Training, fit
from lingraft.library.disk import make_folder
from lingraft.measure.between import measure_between
from lingraft.measure.classes import averages

_CLASS_OF = {code: class_of(code) for code in LANGUAGES}


class Setting(NamedTuple):
    """What all systems have in common."""

    base: Base
    train: list[Pairs]
    dev: list[Pairs]
    test: list[Pairs]
    args: argparse.Namespace

    def path(self, name: str) -> Path:
        """Return the path of a result."""
        return Path(self.args.out) / name


def texts(folder: Path, limit: int | None, seed: int) -> list[Pairs]:
    """Return at most ``limit`` rows of each pair of languages, drawn by the seed."""
    found = between(str(folder / "{a}-{b}.tsv.gz"), LANGUAGES)
    return [draw(pairs, limit, f"{seed} limit") for pairs in found]


class Tuned(NamedTuple):
    """The best of some runs by dev loss, and what is known of each of them."""

    run: Run
    regime: Training
    trials: list[dict[str, Any]]
    worse: list[Run]


def tune(setting: Setting, name: str, regimes: Sequence[Training]) -> Tuned:
    """Train under each regime and keep the best; a run that was interrupted goes on.

    Args:
        setting: Base and text.
        name: What the runs are called.
        regimes: Some that differ in the learning rate.

    Returns:
        The best run, by loss per token on dev.
    """
    work, found = setting.path("work"), []
    for regime in regimes:
        title = f"{name} {regime.learning_rate:g}"
        watch = Watch(title, work / f"{title.replace(' ', '-')}.seconds.json")
        run = fit(setting.base, setting.train, regime, dev=setting.dev, work=work, reporter=watch)
        (learner,) = run.learners
        trial = {
            "learning_rate": regime.learning_rate,
            "dev_loss": learner.best_loss,
            "best_epoch": learner.best_epoch,
            "epochs": learner.epoch,
            "steps": learner.step,
            "seconds": round(watch.seconds, 1),
        }
        found.append((learner.best_loss, run, regime, trial))
    best = min(range(len(found)), key=lambda i: found[i][0])
    _, run, regime, _ = found[best]
    return Tuned(run, regime, [trial for *_, trial in found], [each[1] for i, each in enumerate(found) if i != best])


def clear(tuned: Tuned) -> None:
    """Remove the checkpoints of the worse runs; those of the best one are its weights."""
    for run in tuned.worse:
        if run.checkpoints is not None:
            run.checkpoints.clear()


def parameters(base: Base, tuned: Tuned) -> dict[str, Any]:
    """Return how many parameters were trained, and how many survive pruning, in the LSLo paper's manner of counting."""
    whole = sum(parameter.numel() for parameter in base.model.parameters())
    if isinstance(tuned.regime, Full):
        (learner,) = tuned.run.learners
        trained = sum(part.numel() for weights in learner.weights.values() for part in weights.parts)
        return {"base": whole, "trained": trained, "surviving": trained}
    shared = isinstance(tuned.regime, Joint) and tuned.regime.shared
    updates = {name: adapter.updates for name, adapter in tuned.run.bank.items()}
    found = counts(updates, None if shared else _CLASS_OF)
    return {
        "base": whole,
        **vars(found.total),
        "languages": {} if shared else {code: vars(count) for code, count in found.languages.items()},
        "classes": {kind: vars(found.classes[kind]) for kind in CLASSES if kind in found.classes},
    }


def routes_of(setting: Setting, tuned: Tuned) -> Callable[[Direction], Route]:
    """Return the route of each direction through the adapters at their best epoch."""
    regime, bank = tuned.regime, tuned.run.bank
    if not isinstance(regime, Joint):
        return lambda direction: ()
    if regime.shared:
        (adapter,) = bank.values()
        term = Term(adapter.updates, dict.fromkeys(adapter.updates, 1.0), adapter.scope)
        return lambda direction: (term,)
    recipe = regime.recipe(setting.base)
    return lambda direction: route(bank, recipe, direction)


def measure_system(setting: Setting, name: str, tuned: Tuned | None) -> None:
    """Translate the test files, score them, and write all that is known of a system; the base alone is None."""
    routes = (lambda direction: ()) if tuned is None else routes_of(setting, tuned)
    base = setting.base if tuned is None else tuned.run.base

    def translate(texts: list[str], directions: list[Direction], via: Literal["base", "direct"]) -> list[str]:
        start, done, printed = time.monotonic(), 0, 0.0

        def ready(count: int) -> None:
            nonlocal done, printed
            done, now = done + count, time.monotonic() - start
            if now - printed >= PRINT_SECONDS:
                printed = now
                print(f"{name}: {done} of {len(texts)} test sentences, {now / 60:.1f} min", flush=True)

        with attach(base, routes) as translator:
            return translator.translate(texts, directions, batch_size=setting.args.batch, progress=ready)

    results = measure_between(
        translate,
        setting.test,
        Identifier(known_profiles()),
        via="base" if tuned is None else "direct",
        fetch_tokenizer=setting.args.fetch,
    )
    whole = sum(parameter.numel() for parameter in setting.base.model.parameters())
    none = {"base": whole, "trained": 0, "surviving": 0}
    make_folder(setting.path("outputs"))
    results.write_outputs(setting.path(f"outputs/{name}.jsonl"))
    means = averages(results.rows, CLASSES)
    write_json(
        setting.path(f"{name}.json"),
        {
            "name": name,
            "regime": None if tuned is None else tuned.regime.model_dump(mode="json"),
            "trials": [] if tuned is None else tuned.trials,
            "parameters": none if tuned is None else parameters(setting.base, tuned),
            "class_pairs": means,
            "rows": {kind: 2 * sum(map(len, getattr(setting, kind))) for kind in ("train", "dev", "test")},
            "machine": machine(setting.base),
            "results": json.loads(results.to_json()),
        },
    )
    print(f"{name}: " + ", ".join(f"{kind} {mean['chrf++']:.1f}" for kind, mean in means.items()), flush=True)


def machine(base: Base) -> dict[str, Any]:
    """Return on what the numbers came about."""
    cuda = base.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(base.device) if cuda else platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def rank_costs(base: Base) -> tuple[int, int]:
    """Return the parameters of the base, and those of one rank of one language at all its sites."""
    whole = sum(parameter.numel() for parameter in base.model.parameters())
    layout = Joint(rank=1).layout(base, LANGUAGES)
    return whole, sum(sum(base.shape(site)) for sites in layout.values() for site in sites) // len(LANGUAGES)


def ranks_within(base: Base, share: float) -> int:
    """Return the largest sum of ranks whose parameters are at most a share of the base's."""
    whole, cost = rank_costs(base)
    total = math.floor(share * whole / cost)
    if total < len(LANGUAGES):
        least = len(LANGUAGES) * cost / whole
        raise SystemExit(f"`--share` must be at least {least:.3f}, a rank of 1 for each language, but is {share}.")
    return total


def tiny_base(text: Sequence[Pairs], out: Path) -> str:
    """Make a random base with the tokens of all languages, and return its folder."""
    import seq2seq_base  # nothing else needs it

    if not (out / "config.json").exists():
        tokenizer = seq2seq_base.train_tokenizer(text)
        shape = argparse.Namespace(width=64, encoder_layers=4, decoder_layers=2, out=out, seed=1)
        with quiet():
            tokenizer.save_pretrained(out)
            seq2seq_base.build(tokenizer, shape).model.save_pretrained(out)
    return str(out)
