"""Search one direction of a library, from its dev lines to the gain on those that the search did not see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lingraft.atoms import ConfigError, DataError, Direction, LibraryError, Role
from lingraft.corpus import TestSet
from lingraft.direction import Recipe, attach
from lingraft.library import Library
from lingraft.library.mixing import Mixing, mixing, stored_directions
from lingraft.library.using import router, steps
from lingraft.measure.run import LEAST, identifier
from lingraft.probe.search import Plan, Sampler, best, search
from lingraft.probe.search_found import Found, gain
from lingraft.probe.search_gradient import Learning, learn
from lingraft.probe.search_judge import Advance, Judge, Lines, Verdict
from lingraft.probe.search_space import Over, Space

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
    others: Sequence[Found] = (),
) -> Found:
    """Search the weights of a direction, whose adapters are put together; it may go through English until now.

    Args:
        library: The library with its base.
        direction: The pair of languages; both must be installed.
        testset: Dev lines of both.
        wanted: How to search.
        start: Told of the number of sentences to pass; returns what to call as they do.
        others: Searches of other directions; what they found is tried first.

    Returns:
        What was found, whether or not it is better than what is there.

    Raises:
        AdapterError: An adapter is damaged.
        ConfigError: What is wanted cannot be, or the extra is not installed.
        DataError: There are too few lines.
        LibraryError: A language isn't installed, or the store cannot be used.
    """
    made, seen, unseen = prepare(library, direction, testset, wanted)
    before = mixing(library, direction)
    judge = Judge(library, direction, identifier(library), wanted.batch)
    own = before.recipe or library.recipe
    space = Space.of(library.base.sites, wanted.over, wanted.groups, own.sites)
    total = len(space.grid(wanted.trials)) if wanted.sampler == "grid" else wanted.trials
    total = total if wanted.sampler != "gradient" else 2 * total + 1  # each epoch's weights are looked at again
    generates = wanted.objective == "chrf" and wanted.sampler != "gradient"
    each = judge.sentences(seen) if generates else len(seen)
    legs = steps(direction, before.via or "direct")
    advance = start(total * each + (1 + len(legs)) * judge.sentences(unseen))
    if wanted.sampler == "gradient":
        trials = learn(space, judge, seen, own, Learning(wanted.trials, seed=wanted.seed), advance)
    else:
        score = judge.scores if generates else judge.losses
        evaluate = lambda recipes: score([replace(made, recipe=recipe) for recipe in recipes], seen, advance)
        plan = _plan(library, judge, made, space, seen, wanted, wanted.sampler)
        first = _first(library, direction, made, others)
        trials = search(space, evaluate, plan, first, lambda known: advance(known * each))
    after = replace(made, recipe=space.recipe(best(trials).point))
    now = (
        _through(library, legs, judge, unseen, advance) if len(legs) > 1 else judge.scores([before], unseen, advance)[0]
    )
    (then,) = judge.scores([after], unseen, advance)
    return Found(
        direction,
        space,
        wanted.sampler,
        "loss" if wanted.sampler == "gradient" else wanted.objective,
        len(seen),
        trials,
        before,
        made.method,
        (now, then),
        gain(now, then, unseen),
    )


def prepare(library: Library, direction: Direction, testset: TestSet, wanted: Wanted) -> tuple[Mixing, Lines, Lines]:
    """Check what can be checked before a direction is searched.

    Args:
        library: The library with its base.
        direction: The pair of languages.
        testset: Dev lines of both.
        wanted: How to search.

    Returns:
        How its candidates are made but for the weights; the lines to search on, and those that are kept from it.

    Raises:
        ConfigError: What is wanted cannot be.
        DataError: There are too few lines.
        LibraryError: A language isn't installed.
    """
    if lacking := [code for code in direction if not library.places.installed(code)]:
        raise LibraryError(
            f"`direction` must be of two languages of {library.path}, whose adapters it puts together, but {direction} "
            f"has {lacking[0]}. It has {', '.join(library.languages()) or 'none'}."
        )
    before = mixing(library, direction)
    made = replace(before, via="direct", method=wanted.method or before.method)
    if wanted.sampler == "gradient" and made.method != "linear":
        raise ConfigError(f"`--sampler gradient` must come with linear merging, but the method is {made.method}.")
    lines = Lines(*(tuple(testset.lines[code]) for code in direction))
    seen, unseen = lines.parted()
    if len(unseen) < LEAST:
        raise DataError(
            f"`--testset` must leave at least {LEAST} lines that the search does not see, but of {len(lines)} it "
            f"leaves {len(unseen)}: every third, where those that share a sentence on either side count as one. "
            f"Give {3 * LEAST} different ones or more."
        )
    return made, seen, unseen


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


def _through(library: Library, legs: Sequence[Direction], judge: Judge, lines: Lines, advance: Advance) -> Verdict:
    """Return the verdict of translating in several directions, one after the other."""
    texts = list(lines.sources)
    with attach(library.base, router(library, legs)) as translator:
        for leg in legs:
            texts = translator.translate(texts, leg, batch_size=judge.batch)
            advance(judge.sentences(lines))
    return judge.verdict(texts, lines)


def _first(library: Library, direction: Direction, made: Mixing, others: Sequence[Found]) -> list[Recipe]:
    """Return the recipes to try first: what is there, the plain sum, and what other directions have found.

    Those that share a language with the direction come first.
    """
    known = {where: each.recipe for where, each in stored_directions(library).items()}
    known |= {each.direction: each.recipe for each in others}
    known.pop(direction, None)
    near = sorted(known, key=lambda where: -sum(a == b for a, b in zip(where, direction, strict=True)))
    found = [known[where] for where in near]
    return [made.recipe or library.recipe, Recipe(), *[recipe for recipe in found if recipe is not None][:_OTHERS]]
