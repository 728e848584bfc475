"""The steps of runs/modular_study.py that train or use modular adapters: seeds, ranks, recipes, amounts of text."""

from __future__ import annotations

from itertools import permutations
from typing import Any, Literal

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


def ranked(
    rank: int, rate: float | None = None, seed: int = 1, *, bridged: bool = True, on: Literal["test", "dev"]
) -> Step:
    """Adapters of another rank and rate, with bridged rows or without; on dev, by which they may be chosen, too."""

    def step(study: Study) -> None:
        own, first = rank == study.args.rank, "bridged-1" if bridged else "span"
        kind = f"rank-{rank}" if bridged else f"span-rank-{rank}"
        training = (first if own else kind) + (f"-seed-{seed}" if seed > 1 else "")
        more = {} if bridged else {"bridge": 0.0}
        fit = regime(study, rank=rank, learning_rate=rate or study.args.rate, seed=seed, **more)
        name = f"headline/{training}" if on == "test" else f"rank/{kind.replace('rank-', '')}"
        write_result(study, name, modular(study, training, None, fit), ("direct", "pivot"), on=on)

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
