"""Scores by pair of resource classes (H2H, H2L, …), and whether two systems really differ there."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.chrf import CHRF

from lingraft.atoms import ConfigError, DataError, Direction
from lingraft.corpus import Pairs
from lingraft.measure.between import Outputs, both
from lingraft.measure.contrast import interval
from lingraft.measure.row import Row

Classes = Mapping[str, Sequence[str]]
"""The name of each class → its languages; the order is that of the tables."""
ALL = "all"
_WORD_ORDER = 2  # what makes chrF chrF++
_BETA = 2  # recall counts for twice as much as precision, sacreBLEU's default


def class_pairs(classes: Classes) -> dict[Direction, str]:
    """Return the pair of classes of every direction between the languages, e.g. "H2L".

    Args:
        classes: The classes. A class is called by the first letter of its name.

    Returns:
        Direction → pair, pair by pair in the order of the classes.

    Raises:
        ConfigError: If two classes have one letter, a class has no name, or a language is in two of them.
    """
    letters = {name: name[:1].upper() for name in classes}
    if "" in letters.values() or len(set(letters.values())) < len(letters):
        raise ConfigError(
            f"`classes` must have names that begin with different letters, but are {', '.join(classes)} instead. "
            "Rename one."
        )
    languages = list(itertools.chain(*classes.values()))
    if twice := sorted({code for code in languages if languages.count(code) > 1}):
        raise ConfigError(f"`classes` must hold each language once, but hold {', '.join(twice)} twice. Drop one.")
    return {
        Direction(a, b): f"{letters[one]}2{letters[other]}"
        for one, other in itertools.product(classes, repeat=2)
        for a, b in itertools.product(classes[one], classes[other])
        if a != b
    }


def by_class(directions: Iterable[Direction], classes: Classes) -> dict[str, list[Direction]]:
    """Return the directions of each pair of classes, and all of them under "all".

    Args:
        directions: Directions, each once.
        classes: The classes.

    Returns:
        Pairs of classes that have a direction, in the order of the classes; then "all".

    Raises:
        ConfigError: If the classes are malformed.
        DataError: If there is no direction, one is there twice, or a language has no class.
    """
    kinds, chosen = class_pairs(classes), list(directions)
    if not chosen or len(set(chosen)) < len(chosen):
        raise DataError("the directions must be at least one and each there once, but are not. Average one via.")
    if bare := sorted(set(itertools.chain(*chosen)) - set(itertools.chain(*classes.values()))):
        raise DataError(f"`classes` must hold every language, but {', '.join(bare)} is in none. Add it to one.")
    groups: dict[str, list[Direction]] = {kind: [] for kind in dict.fromkeys(kinds.values())}
    for where in chosen:
        groups[kinds[where]].append(where)
    return {kind: found for kind, found in groups.items() if found} | {ALL: chosen}


def averages(rows: Sequence[Row], classes: Classes) -> dict[str, dict[str, float | int]]:
    """Return the means of rows by pair of classes, every direction counting the same.

    Args:
        rows: Rows of one via.
        classes: The classes.

    Returns:
        Pair of classes, and "all" → ``{"chrf++", "bleu", "off_target", "directions"}``.

    Raises:
        ConfigError: If the classes are malformed.
        DataError: If there are no rows, a direction is there twice, or a language has no class.
    """
    of = {(row.source, row.target): row for row in rows}

    def mean(values: Iterable[float], count: int) -> float:
        return round(math.fsum(values) / count, 4)

    return {
        kind: {
            "chrf++": mean((of[where].chrf for where in group), len(group)),
            "bleu": mean((of[where].bleu for where in group), len(group)),
            "off_target": mean((of[where].off_target for where in group), len(group)),
            "directions": len(group),
        }
        for kind, group in by_class([Direction(row.source, row.target) for row in rows], classes).items()
    }


@dataclass(frozen=True, eq=False)
class Resampled:
    """The chrF++ of each direction, on the test rows and on many resamplings of them.

    Attributes:
        chrf: Direction → chrF++ on the rows as they are.
        draws: Direction → chrF++ on each resampling.
        key: Names rows and resamplings; systems with one key were resampled alike.
    """

    chrf: Mapping[Direction, float]
    draws: Mapping[Direction, NDArray[np.float64]]
    key: str


@dataclass(frozen=True)
class Difference:
    """By how much the mean chrF++ of a system is above that of another.

    Attributes:
        mean: System minus baseline, each the mean over the directions.
        low: Lower end of the 95 % interval, from the percentiles of the resamplings.
        high: Its upper end.
        p: How often resamplings differ at least as much by chance alone, two-sided.
        directions: Number of directions.
    """

    mean: float
    low: float
    high: float
    p: float
    directions: int


def resample(outputs: Outputs, tests: Sequence[Pairs], *, samples: int = 1000, seed: int = 12345) -> Resampled:
    """Score translations on the test rows and on resamplings of them (bootstrap, Koehn 2004).

    Rows are drawn with replacement within each test file, the same ones for both of its directions and,
    given the same seed, for every system: so differences are paired. Files are taken as independent;
    where a sentence stands in several of them, intervals are a little too narrow.

    Args:
        outputs: A system's translations, one per row of the direction's test file.
        tests: The test rows.
        samples: How many resamplings.
        seed: Another seed draws others.

    Returns:
        The scores.

    Raises:
        DataError: If a direction of the tests has no translations, or not one for each row, or a test file
            has a single row, which no drawing changes.
    """
    chrf: dict[Direction, float] = {}
    draws: dict[Direction, NDArray[np.float64]] = {}
    digest = hashlib.sha256(repr((samples, seed)).encode())
    for pairs in tests:
        if (rows := len(pairs)) < 2:
            raise DataError(f"`tests` must hold at least two rows of every pair, but {pairs.origin} has {rows}.")
        digest.update(repr((pairs.a, pairs.b, pairs.left, pairs.right)).encode())
        generator = np.random.default_rng([seed, *f"{pairs.a}-{pairs.b}".encode()])
        counts = generator.multinomial(rows, np.full(rows, 1 / rows), size=samples)  # sample, row
        for where in both(pairs):
            if len(texts := outputs.get(where, ())) != rows:
                raise DataError(f"`outputs` must hold {rows} translations for {where}, but hold {len(texts)} instead.")
            each = statistics(texts, pairs.of(where.target))
            chrf[where] = float(chrf_of(each.sum(0)))
            draws[where] = chrf_of(counts @ each)
    return Resampled(chrf, draws, digest.hexdigest())


def differences(system: Resampled, baseline: Resampled, classes: Classes) -> dict[str, Difference]:
    """Compare two systems by pair of classes.

    Args:
        system: A system's scores.
        baseline: Another's, resampled alike.
        classes: The classes.

    Returns:
        Pair of classes, and "all" → the difference.

    Raises:
        ConfigError: If the classes are malformed.
        DataError: If the two have other rows or resamplings, or a language has no class.
    """
    if system.key != baseline.key:
        raise DataError("`baseline` must be resampled like `system`, but has other rows, samples or seed. Do it again.")
    found = {}
    for kind, group in by_class(system.chrf, classes).items():
        mean = math.fsum(system.chrf[where] - baseline.chrf[where] for where in group) / len(group)
        drawn = np.mean([system.draws[where] - baseline.draws[where] for where in group], axis=0)  # sample
        found[kind] = Difference(mean, *interval(mean, drawn), len(group))
    return found


def statistics(hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """Return what chrF++ counts in each sentence, by sacreBLEU.

    Args:
        hypotheses: Translations.
        references: One for each.

    Returns:
        [row, 24]: for each order (6 of characters, 2 of words) the n-grams of the hypothesis, of the
        reference, and of both.
    """
    metric: Any = CHRF(word_order=_WORD_ORDER, beta=_BETA)
    return np.array(metric._extract_corpus_statistics(list(hypotheses), [list(references)]), dtype=np.float64)


def chrf_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chrF++ of summed statistics, as sacreBLEU does for one sum at a time (Popović 2017).

    Args:
        counts: [..., 24] sums of `statistics`.

    Returns:
        [...] scores, 0 … 100: F of the mean precision and recall over the orders that both sides have.
    """
    ours, theirs, common = np.moveaxis(counts.reshape(*counts.shape[:-1], -1, 3), -1, 0)  # ..., order
    there = (ours > 0) & (theirs > 0)
    orders = np.maximum(there.sum(-1), 1)
    precision = np.divide(common, ours, out=np.zeros_like(ours), where=there).sum(-1) / orders
    recall = np.divide(common, theirs, out=np.zeros_like(ours), where=there).sum(-1) / orders
    below = _BETA**2 * precision + recall
    above = 100 * (1 + _BETA**2) * precision * recall
    return np.divide(above, below, out=np.zeros_like(below), where=below > 0)
