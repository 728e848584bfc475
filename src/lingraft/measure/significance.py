"""Whether two systems really differ, direction by direction over a whole matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lingraft.atoms import DataError, Direction
from lingraft.measure.classes import chrf_of, statistics
from lingraft.measure.contrast import ALL, Contrast, interval

Texts = Mapping[Direction, Sequence[str]]
"""Translations of each direction, line by line."""
SAMPLES = 1000
MOST = 10_000
"""Most resamplings that are made unasked."""
_SEED = 12345


def contrasts(
    system: Texts,
    baseline: Texts,
    references: Mapping[str, Sequence[str]],
    names: tuple[str, str],
    *,
    samples: int | None = None,
    seed: int = _SEED,
    progress: Callable[[int], None] = lambda ready: None,
) -> tuple[Contrast, ...]:
    """Compare two systems by paired bootstrap (Koehn 2004), corrected over the directions (Holm 1979).

    The lines are parallel, so the same ones are drawn for every direction and both systems: the interval of the mean
    knows that directions share their sentences.

    With more than 250 directions the correction asks for smaller p-values than the resamplings that there is time for
    can count. Where none of them reaches a difference, its p is then that of a normal distribution as wide as they are.

    Args:
        system: Translations of the directions of interest.
        baseline: The other system's; directions that only one of them has are left out.
        references: The lines of each target language.
        names: What the two are called.
        samples: How many resamplings; None: 1,000, or as many as a correction over so many directions needs, but at
            most 10,000.
        seed: Another seed draws others.
        progress: Called with 1 as each direction becomes ready.

    Returns:
        One contrast per direction, then that of the means; empty where the two share no direction.

    Raises:
        DataError: If there are fewer than two lines, or not one translation for each.
    """
    shared = [where for where in system if where in baseline]
    if not shared:
        return ()
    rows = len(references[shared[0].target])
    if rows < 2:
        raise DataError(f"`references` must hold at least two lines, but hold {rows}. Measure more sentences.")
    # The smallest p that n resamplings can show is 1 / (n + 1), and Holm multiplies it by the number of directions: 40
    # for each leave it at half of the level. Each direction takes time for all of them, so that has an end.
    needed = max(SAMPLES, 40 * len(shared))
    samples = samples or min(MOST, needed)
    drawn = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1 / rows), size=samples)  # sample, row
    drawn = drawn.astype(np.float64)  # as the counts are, so that no product converts it again
    means, found, total = [], [], np.zeros(samples)
    for where in shared:
        counts = [_counted(texts[where], references[where.target], where) for texts in (system, baseline)]
        means.append(float(chrf_of(counts[0].sum(0)) - chrf_of(counts[1].sum(0))))
        difference = chrf_of(drawn @ counts[0]) - chrf_of(drawn @ counts[1])
        low, high, p = interval(means[-1], difference)
        if samples < needed and p * (samples + 1) <= 1 and (spread := float(difference.std())):
            p = min(p, math.erfc(abs(means[-1]) / spread / math.sqrt(2)))
        found.append((means[-1], low, high, p))
        total += difference
        progress(1)
    adjusted = holm([p for *_, p in found])
    whole = math.fsum(means) / len(means)
    low, high, p = interval(whole, total / len(shared))
    each = [_contrast(where, names, (*one, p)) for where, one, p in zip(shared, found, adjusted, strict=True)]
    return (*each, _contrast(Direction(ALL, ALL), names, (whole, low, high, p, p)))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979): the i-th smallest of n times n − i + 1, never falling.

    Args:
        values: One p-value per test.

    Returns:
        The corrected ones, in the same order, at most 1.
    """
    corrected, least = [0.0] * len(values), 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        least = max(least, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = least
    return corrected


def in_words(found: Sequence[Contrast]) -> str:
    """Return contrasts in a sentence, or nothing where there are none."""
    if not found:
        return ""
    *each, mean = found
    verdicts = [one.verdict for one in each]
    return (
        f"{mean.system} minus {mean.baseline}: {mean.difference:+.2f} chrF++ in the mean (95 % from {mean.low:+.2f} to "
        f"{mean.high:+.2f}); significantly better in {verdicts.count('better')} and worse in "
        f"{verdicts.count('worse')} of {len(each)} directions (paired bootstrap, Holm)."
    )


def _counted(texts: Sequence[str], references: Sequence[str], where: Direction) -> NDArray[np.float64]:
    if len(texts) != len(references):
        raise DataError(f"there must be {len(references)} translations for {where}, but are {len(texts)} instead.")
    return statistics(texts, references)


def _contrast(where: Direction, names: tuple[str, str], values: Sequence[float]) -> Contrast:
    difference, low, high, p, adjusted = (round(float(value), 4) for value in values)
    return Contrast(where.source, where.target, names[0], names[1], difference, low, high, p, adjusted)
