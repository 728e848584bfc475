"""Search one direction of a library, from its dev lines to the gain on those that the search did not see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lingraft.atoms import ConfigError, DataError, Direction, Role
from lingraft.corpus import TestSet
from lingraft.direction import Recipe
from lingraft.library import Library
from lingraft.library.mixing import Mixing, mixing, stored_directions
from lingraft.measure.run import identifier
from lingraft.probe.search import Plan, Sampler, best, search
from lingraft.probe.search_found import Found, gain
from lingraft.probe.search_gradient import Learning, learn
from lingraft.probe.search_judge import Advance, Judge, Lines
from lingraft.probe.search_space import Over, Space

LEAST = 30
"""Fewest lines; on fewer, a difference says nothing."""
_OTHERS = 4  # recipes of other directions that are tried first
_STORE = ".search.journal"  # in the library's folder; no reader of a library looks at it


@dataclass(frozen=True)
class Wanted:
    """How to search."""

    sampler: Sampler | Literal["gradient"] = "gp"
    trials: int = 30
    """Candidates; with ``gradient`` epochs."""
    over: Over = "pair"
    groups: int = 3
    """Over ``layers``, groups of neighbours in each stack; 0: every layer by itself."""
    objective: Literal["chrf", "loss"] = "chrf"
    method: str | None = None
    """How to merge the adapters; None: as it is stored."""
    together: int = 5
    """Candidates that are scored together."""
    batch: int = 128
    """Sentences per batch."""
    seed: int = 0
    store: Path | None = None
    """Keeps the trials; None: a file in the library's folder."""


def search_direction(
    library: Library,
    direction: Direction,
    testset: TestSet,
    wanted: Wanted,
    start: Callable[[int], Advance] = lambda total: lambda ready: None,
) -> Found:
    """Search the weights of a direction.

    Args:
        library: The library with its base.
        direction: The pair of languages; both must be installed.
        testset: Dev lines of both.
        wanted: How to search.
        start: Told of the number of sentences to pass; returns what to call as they do.

    Returns:
        What was found, whether or not it is better than what is there.

    Raises:
        AdapterError: An adapter is damaged.
        ConfigError: What is wanted cannot be, or the extra is not installed.
        DataError: There are too few lines.
        LibraryError: A language isn't installed, or the store cannot be used.
    """
    lines = Lines(*(tuple(testset.lines[code]) for code in direction))
    if len(lines) < LEAST:
        raise DataError(f"`--testset` must have at least {LEAST} lines, but has {len(lines)} instead. Give more.")
    before = mixing(library, direction)
    made = before if wanted.method is None else replace(before, method=wanted.method)
    seen, unseen = lines.parted()
    judge = Judge(library, direction, identifier(library), wanted.batch)
    space = Space.of(library.base.sites, wanted.over, wanted.groups)
    total = len(space.grid(wanted.trials)) if wanted.sampler == "grid" else wanted.trials
    generates = wanted.objective == "chrf" and wanted.sampler != "gradient"
    each = judge.sentences(seen) if generates else len(seen)
    advance = start(total * each + 2 * judge.sentences(unseen))
    if wanted.sampler == "gradient":
        if made.method != "linear":
            raise ConfigError(f"`--sampler gradient` must come with linear merging, but the method is {made.method}.")
        own = before.recipe or library.recipe
        trials = learn(space, judge, seen, own, Learning(wanted.trials, seed=wanted.seed), advance)
    else:
        score = judge.scores if generates else judge.losses
        evaluate = lambda recipes: score([replace(made, recipe=recipe) for recipe in recipes], seen, advance)
        plan = _plan(library, judge, made, space, seen, wanted, wanted.sampler)
        first = _first(library, direction, made)
        trials = search(space, evaluate, plan, first, lambda known: advance(known * each))
    after = replace(made, recipe=space.recipe(best(trials).point))
    verdicts = judge.scores([before, after], unseen, advance)
    return Found(
        direction,
        space,
        wanted.sampler,
        "loss" if wanted.sampler == "gradient" else wanted.objective,
        len(seen),
        trials,
        before,
        made.method,
        (verdicts[0], verdicts[1]),
        gain(verdicts[0], verdicts[1], unseen),
    )


def versions(library: Library, direction: Direction) -> str:
    """Return the versions of a direction's adapters, in words."""
    sides = zip(direction, Role, strict=True)
    return ", ".join(f"{code}.{role.value} {library.pointer(code).of(role)}" for code, role in sides)


def _plan(
    library: Library, judge: Judge, made: Mixing, space: Space, seen: Lines, wanted: Wanted, sampler: Sampler
) -> Plan:
    """Return how to search; of one name are searches whose trials mean the same."""
    direction = judge.direction
    facts = (space, wanted.objective, made.method, sorted(made.options.items()), seen, library.base.fingerprint)
    digest = hashlib.sha256(repr((*facts, versions(library, direction), wanted.seed)).encode()).hexdigest()
    return Plan(
        sampler,
        wanted.trials,
        wanted.together,
        wanted.seed,
        wanted.store or library.path / _STORE,
        f"{direction} {wanted.over} {sampler} {digest[:12]}",
    )


def _first(library: Library, direction: Direction, made: Mixing) -> list[Recipe]:
    """Return the recipes to try first: what is there, the plain sum, and what other directions have found.

    Those that share a language with the direction come first.
    """
    others = {where: each.recipe for where, each in stored_directions(library).items() if where != direction}
    near = sorted(others, key=lambda where: -sum(a == b for a, b in zip(where, direction, strict=True)))
    found = [others[where] for where in near]
    return [made.recipe or library.recipe, Recipe(), *[recipe for recipe in found if recipe is not None][:_OTHERS]]
