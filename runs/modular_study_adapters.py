"""The steps of runs/modular_study.py that train or use modular adapters: seeds, settings, recipes, amounts of text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import permutations
from typing import Any, Literal, NamedTuple

from modular_study_merging import Step
from modular_study_systems import (
    LANGUAGES,
    Study,
    System,
    adapters,
    longer,
    mean,
    mixed,
    modular,
    regime,
    write_result,
)

from lingraft.atoms import Direction
from lingraft.direction import Recipe
from lingraft.library import Library
from lingraft.library.mixing import stored_directions
from lingraft.library.using import router


def headline(seed: int) -> Step:
    """Adapters with bridged rows on all the text, the seed apart."""

    def step(study: Study) -> None:
        system = modular(study, f"bridged-{seed}", None, regime(study, seed=seed))
        write_result(study, f"headline/bridged-{seed}", system, ("direct", "pivot"), on="test", english=True)

    return step


def averaged(study: Study, rank: int | None) -> None:
    """The mean of all seeds' adapters, in full or cut back to one's rank."""
    seeds, texts = [int(each) for each in study.args.seeds.split(",")], study.english(None)
    banks = [adapters(study, f"bridged-{seed}", texts, regime(study, seed=seed)) for seed in seeds]
    bank = mean(banks, rank)
    name = f"headline/mean-{'full' if rank is None else 'cut'}"
    known = {"seeds": seeds, "parameters": sum(adapter.parameters for adapter in bank.values())}
    write_result(study, name, System(mixed(bank), known), ("direct", "pivot"), on="test")


class Variant(NamedTuple):
    """The headline with some settings replaced."""

    settings: Mapping[str, str]

    @classmethod
    def of(cls, text: str) -> Variant:
        """Read ``rank=48,bridge=0``."""
        pairs = (each.partition("=") for each in text.split(",") if each)
        return cls({key: value for key, _, value in pairs})

    @property
    def name(self) -> str:
        """Return the words of its results' names."""
        return "-".join(word for pair in self.settings.items() for word in pair) or "own"

    @property
    def training(self) -> str:
        """Return the name of its training, which the first seed shares with the headline, and one with a baseline."""
        return {"own": "bridged-1", "bridge-0": "span"}.get(self.name, self.name)

    def step(self, on: Literal["test", "dev"]) -> Step:
        """Return the step that measures it, on test or on dev, by which settings may be chosen."""

        def step(study: Study) -> None:
            settings = {name: json.loads(value) for name, value in self.settings.items()}
            system = modular(study, self.training, None, regime(study, **settings))
            group = "headline" if on == "test" else "settings"
            write_result(study, f"{group}/{self.name}", system, ("direct", "pivot"), on=on)

        return step


def searched(study: Study) -> None:
    """The first seed's adapters by the recipes that `lingraft search --save` has found on dev."""
    system = modular(study, "bridged-1", None, regime(study))
    library = Library.open(study.path("libraries/bridged-1"), study.base)
    if not (found := stored_directions(library)):
        print("headline/recipe: left out, since `lingraft search --save` has stored no recipe", flush=True)
        return
    routes = router(library, [Direction(*pair) for pair in permutations(LANGUAGES, 2)])
    facts = {**system.facts, "recipes": {str(where): str(each.recipe) for where, each in found.items()}}
    write_result(study, "headline/recipe", System(routes, facts), ("direct",), on="test")


def single(name: str, recipe: Recipe) -> Step:
    """The first seed's adapters of one role alone."""

    def step(study: Study) -> None:
        system = modular(study, "bridged-1", None, regime(study), recipe=recipe)
        write_result(study, f"baseline/{name}", system, ("direct",), on="test")

    return step


def plain(name: str, **settings: Any) -> Step:
    """Adapters on all the text with other settings."""

    def step(study: Study) -> None:
        system = modular(study, name, None, regime(study, **settings))
        write_result(study, f"baseline/{name}", system, ("direct", "pivot"), on="test", english=True)

    return step


def curve(size: int) -> Step:
    """Adapters on so many pairs of each language with English."""

    def step(study: Study) -> None:
        fit = regime(study, **longer(study, study.english(size)))
        system = modular(study, f"curve-{size}", size, fit)
        write_result(study, f"curve/{size}", system, ("direct", "pivot"), on="test")

    return step
