"""Which words of two texts are each other's translation: a small statistical aligner.

IBM model 1 (Brown et al. 1993) with a fixed preference for the diagonal (as in Dyer et al. 2013, fast_align),
trained on the text itself in both directions. Only links that both directions find likelier than not
are kept: what is read from them must be right, and need not be complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROUNDS = 5  # of expectation–maximisation, as is usual for model 1
DIAGONAL = 2.0  # half of fast_align's first value: fewer links, but right in languages with free word order too
SURE = 0.5  # more than this share can go to one word alone, so links are one to one


class _Cells(NamedTuple):
    """All pairs of words of one line, of all lines."""

    line: NDArray[np.int64]
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    a: NDArray[np.int64]
    """Number of the word at (line, i) in the first text's vocabulary."""
    b: NDArray[np.int64]
    near: NDArray[np.float64]
    """exp(−λ · |relative place of i − relative place of j|)."""


def align(a: Sequence[Sequence[str]], b: Sequence[Sequence[str]]) -> list[dict[int, int]]:
    """Align two texts line by line.

    Args:
        a: The words of each line; an empty word is aligned with none.
        b: The words of the same lines in another language.

    Returns:
        For each line, place of a word in ``a`` → place of its translation in ``b``; one to one.
    """
    links: list[dict[int, int]] = [{} for _ in a]
    cells = _cells(a, b)
    if not len(cells.line):
        return links
    width = 1 + max(int(cells.i.max()), int(cells.j.max()))
    into = _posterior(cells, cells.a, cells.b, cells.line * width + cells.j)  # which i made j
    back = _posterior(cells, cells.b, cells.a, cells.line * width + cells.i)
    sure = (into > SURE) & (back > SURE)
    for line, i, j in zip(cells.line[sure].tolist(), cells.i[sure].tolist(), cells.j[sure].tolist(), strict=True):
        links[line][i] = j
    return links


def _cells(a: Sequence[Sequence[str]], b: Sequence[Sequence[str]]) -> _Cells:
    known: tuple[dict[str, int], dict[str, int]] = {}, {}
    rows, near = [], []
    for line, (left, right) in enumerate(zip(a, b, strict=True)):
        for i, word in enumerate(left):
            for j, other in enumerate(right):
                if word and other:
                    numbers = known[0].setdefault(word, len(known[0])), known[1].setdefault(other, len(known[1]))
                    rows.append((line, i, j, *numbers))
                    near.append(abs((i + 0.5) / len(left) - (j + 0.5) / len(right)))
    line_of, i_of, j_of, a_of, b_of = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return _Cells(line_of, i_of, j_of, a_of, b_of, np.exp(-DIAGONAL * np.array(near)))


def _posterior(
    cells: _Cells, given: NDArray[np.int64], made: NDArray[np.int64], place: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return for each cell how likely its given word made its made one, among the line's given words.

    Args:
        cells: All pairs of words.
        given: The word that makes.
        made: The word that is made.
        place: Numbers the places of the made words.

    Returns:
        [cells]; those of a place sum to 1.
    """
    _, place = np.unique(place, return_inverse=True)
    _, pair = np.unique(given * (int(made.max()) + 1) + made, return_inverse=True)
    owner = np.zeros(int(pair.max()) + 1, dtype=np.int64)
    owner[pair] = given
    chance = np.ones(len(owner))  # t(made | given), up to a factor that cancels
    for _ in range(ROUNDS):
        share = _shares(chance[pair] * cells.near, place)
        counts = np.bincount(pair, share)
        chance = counts / np.bincount(owner, counts)[owner]
    return _shares(chance[pair] * cells.near, place)


def _shares(weights: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = weights / np.bincount(group, weights)[group]
    return share
