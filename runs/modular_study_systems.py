"""How the systems of runs/modular_study.py are trained, measured and written down."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lslo_data import draw
from lslo_systems import machine
from lslo_watch import Watch, write_json

from lingraft.atoms import ENGLISH, Direction
from lingraft.base import Base
from lingraft.corpus import Identifier, Pairs, TestSet, between, read
from lingraft.corpus.profile import known_profiles
from lingraft.delta import Bank, Route
from lingraft.direction import Recipe, attach, route
from lingraft.direction.methods import Setting, merge_site
from lingraft.fit import Context, Modular, Training
from lingraft.library import Library
from lingraft.library.disk import make_folder
from lingraft.library.grow import grow
from lingraft.library.plan import Plan
from lingraft.measure import measure
from lingraft.measure.matrix import this_command

LANGUAGES = ("deu_Latn", "epo_Latn", "fra_Latn", "rus_Cyrl")
RoutesOf = Callable[[Direction], Route]
Reader = Callable[[str, Sequence[str]], list[Pairs]]


class Study(NamedTuple):
    """What all systems have in common."""

    base: Base
    test: TestSet
    dev: TestSet
    args: argparse.Namespace

    def path(self, name: str) -> Path:
        """Return the path of a result."""
        return Path(self.args.out) / name

    def result(self, name: str) -> Any:
        """Return a result that is there, or None."""
        path = self.path(f"results/{name}.json")
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def english(self, most: int | None, part: str = "train") -> list[Pairs]:
        """Return at most so many rows of each language's text with English; the same ones whoever asks."""
        return self._drawn(read, most, part)

    def direct(self, most: int | None, part: str = "train") -> list[Pairs]:
        """Return at most so many rows of each of the six pairs without English."""
        return self._drawn(between, most, part)

    def _drawn(self, reader: Reader, most: int | None, part: str) -> list[Pairs]:
        limit = self.args.limit if part == "train" else self.args.dev_rows
        return _drawn(reader, str(Path(self.args.data) / part), min(filter(None, (most, limit)), default=None))


@cache
def _drawn(reader: Reader, folder: str, most: int | None) -> list[Pairs]:
    """Read texts, and draw rows that are among those of any larger number."""
    return [draw(pairs, most, "study") for pairs in reader(folder + "/{a}-{b}.tsv.gz", LANGUAGES)]


class System(NamedTuple):
    """Something that translates, and how it came to be."""

    routes: RoutesOf
    facts: Mapping[str, Any]
    base: Base | None = None
    """A tuned copy; None: the base of the study."""


def regime(study: Study, **settings: Any) -> Modular:
    """Return the settings of adapters: the study's own, with some replaced."""
    args = study.args
    common = {
        "rank": args.rank,
        "bridge": args.bridge,
        "epochs": args.epochs,
        "rows": args.rows,
        "learning_rate": args.rate,
        "tokens": args.tokens,
        "seed": 1,
    }
    return Modular.model_validate(common | settings)


def longer(study: Study, texts: Sequence[Pairs]) -> dict[str, int]:
    """Return epochs and patience with which few rows are trained for about ``--least-steps`` steps, at most 40 epochs.

    With few rows the dev loss is judged after every few steps, so patience grows with the epochs.
    """
    steps = min(-(-len(pairs) // study.args.rows) for pairs in texts)
    epochs = min(max(study.args.epochs, -(-study.args.least_steps // steps)), max(40, study.args.epochs))
    return {"epochs": epochs, "patience": max(2, epochs // 5)}


def passes(texts: Sequence[Pairs], epochs: int = 1) -> int:
    """Return the rows of a training on some texts, each in both directions."""
    return 2 * epochs * sum(map(len, texts))


def updates(texts: Sequence[Pairs], epochs: int, rows: int) -> int:
    """Return the optimiser steps of all adapters of some texts together, two for each text."""
    return epochs * sum(2 * -(-len(pairs) // rows) for pairs in texts)


def adapters(study: Study, name: str, texts: Sequence[Pairs], fit: Modular, partners: Bank | None = None) -> Bank:
    """Return the adapters of a library, which is trained first where it isn't there.

    Args:
        study: The study.
        name: The library's.
        texts: Each language's rows with English.
        fit: The settings.
        partners: Frozen adapters that take part.

    Returns:
        Both adapters of each language at their best epoch.
    """
    path = study.path(f"libraries/{name}")
    dev = study.english(None, "dev")
    languages = tuple(pairs.b if pairs.a == ENGLISH else pairs.a for pairs in texts)
    there = Library.open(path, study.base) if (path / "library.json").exists() else None
    if there is None or set(languages) - set(there.languages()):
        held = [pairs for pairs in dev if {pairs.a, pairs.b} - {ENGLISH} <= set(languages)]
        context = Context(Recipe(), partners or Bank())
        plan = Plan(languages, tuple(texts), tuple(held), fit, (), context)
        watch = Watch(name, study.path(f"seconds/{name}.json"))
        grow(study.base, path, plan, reporter=watch, command=this_command())
        there = Library.open(path, study.base)
    return there.bank(languages)


def facts(study: Study, name: str, texts: Sequence[Pairs], fit: Training, parameters: int, **more: Any) -> dict:
    """Return what must be known of a training."""
    path = study.path(f"seconds/{name}.json")
    return {
        "training": name,
        "regime": {"name": type(fit).__name__, **fit.model_dump(mode="json")},
        "rows": {f"{pairs.a}-{pairs.b}": len(pairs) for pairs in texts},
        "parameters": parameters,
        "seconds": json.loads(path.read_text()) if path.exists() else None,
        **more,
    }


def modular(
    study: Study,
    name: str,
    most: int | None,
    fit: Modular,
    *,
    partners: Bank | None = None,
    recipe: Recipe | None = None,
) -> System:
    """Return adapters that were trained apart (see `adapters`), mixed by a recipe; None: both weights are 1."""
    texts = study.english(most)
    bank = adapters(study, name, texts, fit, partners)
    count = sum(adapter.parameters for adapter in bank.values())
    return System(
        mixed(bank, recipe), facts(study, name, texts, fit, count, steps=updates(texts, fit.epochs, fit.rows))
    )


def mean(banks: Sequence[Bank], rank: int | None) -> Bank:
    """Return the mean of adapters that were trained alike with other seeds: of what they add, not of their factors.

    Args:
        banks: Banks of the same adapters.
        rank: Cut back to it by SVD; None: kept in full, the sum of all ranks.

    Returns:
        One adapter for each.
    """
    way, setting = ("linear" if rank is None else "svd"), Setting(rank=rank)
    found = []
    for name, adapter in banks[0].items():
        terms = {site: [(1 / len(banks), bank[name].updates[site]) for bank in banks] for site in adapter.updates}
        updates = {site: merge_site(way, each, site, setting).update for site, each in terms.items()}
        found.append(replace(adapter, updates=updates))
    return Bank(found)


def mixed(bank: Bank, recipe: Recipe | None = None) -> RoutesOf:
    """Return the routes of a bank's directions by a recipe."""
    return lambda direction: route(bank, recipe or Recipe(), direction)


def write_result(
    study: Study, name: str, system: System, vias: Sequence[str], *, on: Literal["test", "dev"], english: bool = False
) -> None:
    """Translate all directions, score them, and write all that is known of a system.

    Args:
        study: The study.
        name: Of the result, with folders.
        system: What is measured.
        vias: Which of base, direct, pivot.
        on: Which sentences: what is chosen or compared in search of something better sees dev alone.
        english: Whether the directions with English are measured too.
    """

    def translate(texts: list[str], directions: list[Direction], via: Literal["base", "direct"]) -> list[str]:
        with attach(system.base or study.base, None if via == "base" else system.routes) as translator:
            return translator.translate(texts, directions, batch_size=study.args.batch)

    lines = study.test if on == "test" else study.dev
    languages = (*LANGUAGES, ENGLISH) if english else LANGUAGES
    results = measure(translate, lines, languages, Identifier(known_profiles()), vias=vias, keep_outputs=True)
    outputs = study.path(f"outputs/{name}.jsonl")
    make_folder(outputs.parent)
    results.write_outputs(outputs)
    found = {"name": name, "on": on, **system.facts, "machine": machine(study.base)}
    write_json(study.path(f"results/{name}.json"), found | {"results": json.loads(results.to_json())})
    means = {via: row["chrf++"] for via, row in results.summary["without_pivot"].items()}
    print(f"{name} on {on}: " + ", ".join(f"{via} {mean:.2f}" for via, mean in means.items()), flush=True)
