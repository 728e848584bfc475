"""The study of merging on the demo base: baselines, data curve, training for mergeability, when to merge.

    .venv/bin/python runs/modular_study.py [GROUP | NAME …] [--out … --limit 4000 …]

A step whose result is in ``--out`` is over; one that was interrupted goes on. Groups are headline, baseline, settings,
curve, merge, checkpoint, depth, phase, ratio, forgetting; ``--list`` prints the names of their steps.
"""

from __future__ import annotations

import hashlib
import json
from itertools import permutations
from typing import Any

from lslo_watch import write_json
from modular_study_adapters import Variant, averaged, curve, headline, plain, searched, single
from modular_study_all_rows import everyone, forget, together
from modular_study_merging import Step, checkpoints, depths, mergeability, phases
from modular_study_options import FREE, parse
from modular_study_systems import (
    LANGUAGES,
    Study,
    System,
    adapters,
    longer,
    passes,
    regime,
    write_result,
)

from lingraft import base
from lingraft.atoms import Direction, LingraftError
from lingraft.corpus import read_testset
from lingraft.direction import Recipe, attach
from lingraft.fit import Full, Joint
from lingraft.library import Library
from lingraft.library.using import router


def alone(study: Study) -> None:
    """The base as it is."""
    write_result(study, "baseline/base", System(lambda direction: (), {}), ("base",), on="test", english=True)


def all_rows(name: str, kind: type[Full] | type[Joint], *, english: bool = False) -> Step:
    """One model or one adapter for all rows, with as many rows as all adapters of the headline together."""

    def step(study: Study) -> None:
        read = study.english if english else study.direct
        texts, dev = read(None), read(None, "dev")
        rows = passes(study.english(None), study.args.epochs)
        more = {} if kind is Full else _one_lora(study)
        system = together(study, name, texts, dev, everyone(study, kind, texts, rows, **more))
        vias = ("direct", "pivot") if english else ("direct",)
        write_result(study, f"baseline/{name}", system, vias, on="test", english=english)
        forget(study, name)

    return step


def _one_lora(study: Study) -> dict[str, Any]:
    """Return the settings of one update for all rows, with as many parameters as all adapters together."""
    names = tuple(sorted({site.name for site in study.base.sites}))
    return {"shared": True, "rank": 2 * len(LANGUAGES) * study.args.rank, "sites": names}


def full_curve(size: int) -> Step:
    """Full fine-tuning on so many rows of each of the six direct pairs, with as many rows in all as `curve`."""

    def step(study: Study) -> None:
        english = study.english(size)
        _full_on_some(study, f"curve/full-{size}", size, passes(english, longer(study, english)["epochs"]))

    return step


def equal_text(study: Study) -> None:
    """Full fine-tuning on the direct pairs that has seen no more sentences of a language than its adapters have."""
    english = study.english(None)
    size = min(map(len, english)) // (len(LANGUAGES) - 1)
    _full_on_some(study, "baseline/full-equal-text", size, passes(english, study.args.epochs))


def _full_on_some(study: Study, name: str, size: int, rows: int) -> None:
    """Tune the model on so many rows of each direct pair, passing about so many in all, as was best on all the text."""
    texts = study.direct(size)
    fits = everyone(study, Full, texts, rows)
    if best := study.result("baseline/multi-full"):
        chosen = best["regime"]["learning_rate"], best["regime"]["rows"]
        fits = [each for each in fits if (each.learning_rate, each.rows) == chosen]
    training = name.replace("/", "-")
    system = together(study, training, texts, study.direct(None, "dev"), fits)
    write_result(study, name, system, ("direct",), on="test")
    forget(study, training)


def forgetting(study: Study) -> None:
    """Add two languages to a library of two, and compare what it said before with what it says after."""
    first, later = study.english(study.args.some_pairs)[:2], study.english(study.args.some_pairs)[2:]
    directions = [Direction(*pair) for pair in permutations(LANGUAGES[:2], 2)]
    fit, path = regime(study, epochs=1), study.path("libraries/forgetting")

    def said() -> str:
        with attach(study.base, router(Library.open(path, study.base), directions)) as translator:
            texts = [translator.translate(study.dev.lines[where.source], where) for where in directions]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()

    before_path = study.path("forgetting-before.json")
    adapters(study, "forgetting", first, fit)
    if not before_path.exists():
        write_json(before_path, said())
    adapters(study, "forgetting", later, fit)
    before, after = json.loads(before_path.read_text()), said()
    result = {"directions": [str(where) for where in directions], "before": before, "after": after}
    write_json(study.path("results/forgetting.json"), result)
    print(f"forgetting: {before[:16]} before, {after[:16]} after", flush=True)


def steps_of(study: Study) -> dict[str, Step]:
    """Return all steps by name, in order; what stands before the slash is the group."""
    seeds, sizes = ([int(each) for each in getattr(study.args, key).split(",")] for key in ("seeds", "sizes"))
    variants = [Variant.of(each) for each in study.args.settings.split()]
    found: dict[str, Step] = {f"headline/bridged-{seed}": headline(seed) for seed in seeds}
    found |= {
        "headline/mean-full": lambda study: averaged(study, None),
        "headline/mean-cut": lambda study: averaged(study, study.args.rank),
        **{f"headline/{each.name}": each.step("test") for each in variants},
        "headline/recipe": searched,
        "baseline/base": alone,
        "baseline/source-only": single("source-only", Recipe(1.0, 0.0)),
        "baseline/target-only": single("target-only", Recipe(0.0, 1.0)),
        "baseline/large-steps": plain("large-steps", rows=4 * study.args.rows),
        "baseline/span": plain("span", bridge=0.0),
        "baseline/everywhere": plain("everywhere", bridge=0.0, scope="everywhere"),
        "baseline/english-lora": all_rows("english-lora", Joint, english=True),
        "baseline/multi-lora": all_rows("multi-lora", Joint),
        "baseline/multi-full": all_rows("multi-full", Full),
        "baseline/full-equal-text": equal_text,
    }
    on_dev = [Variant.of(""), Variant.of("bridge=0"), *(each for each in variants if "seed" not in each.settings)]
    found |= {f"settings/{each.name}": each.step("dev") for each in on_dev}
    found |= {f"curve/{size}": curve(size) for size in sizes}
    found |= {f"curve/full-{size}": full_curve(size) for size in sizes}
    for group in (mergeability, checkpoints, depths, phases):
        found |= dict(group(study))
    return found | {"forgetting": forgetting}


def main() -> None:
    """Run the steps whose results are missing."""
    args = parse()
    multi = str(args.data / "multi")
    test = read_testset(f"{multi}/test.{{lang}}.txt.gz", limit=args.test_limit)
    dev = read_testset(f"{multi}/dev.{{lang}}.txt.gz", limit=args.dev_limit)
    study = Study(base.load(args.base, device=args.device), test, dev, args)
    steps = steps_of(study)
    if args.list:
        print("\n".join(steps))
        return
    if strange := [word for word in args.steps if not any(word in (name, name.split("/")[0]) for name in steps)]:
        raise SystemExit(f"the steps must be among those of --list, but {', '.join(strange)} are not.")
    path = args.out / "settings.json"
    settings = {name: value for name, value in vars(args).items() if name not in FREE}
    if path.exists() and (earlier := json.loads(path.read_text())) != settings:
        other = ", ".join(sorted(name for name in settings if earlier.get(name) != settings[name]))
        raise SystemExit(f"the results in `{args.out}` must be of one setting, but {other} differ. Use another --out.")
    write_json(path, settings)
    for name, step in steps.items():
        if args.steps and not {name, name.split("/")[0]} & set(args.steps):
            continue
        if study.result(name) is not None:
            print(f"{name}: is there", flush=True)
            continue
        try:
            step(study)
        except LingraftError as error:
            raise SystemExit(f"{name}: {error}") from None


if __name__ == "__main__":
    main()
