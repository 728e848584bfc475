"""Which rows are held out for dev, and whether dev text stands in training text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from lingraft.atoms import DataError
from lingraft.corpus.pairs import Pairs


def split_dev(pairs: Pairs, share: float, most: int, seed: int) -> tuple[Pairs, Pairs]:
    """Hold out some rows, with all rows that share a sentence with them left out of training.

    Args:
        pairs: The rows.
        share: How large a part to hold out.
        most: The most rows to hold out.
        seed: Another seed holds out others.

    Returns:
        (train, dev); which rows go where depends on the sentences and the seed alone.

    Raises:
        DataError: If too few rows are there to hold any out.
    """
    (train,), (dev,) = split_together([pairs], share, most, seed)
    return train, dev


def split_together(
    corpus: Sequence[Pairs], share: float, most: int, seed: int
) -> tuple[tuple[Pairs, ...], tuple[Pairs, ...]]:
    """Hold out some rows of each text, so that no held-out sentence stands in any training text of its language.

    In texts that are parallel line by line, the same lines are held out of all of them. Texts that share no sentence
    are split as each would be alone.

    Args:
        corpus: Texts of any pairs of languages.
        share: How large a part of each to hold out.
        most: The most rows of each to hold out.
        seed: Another seed holds out others.

    Returns:
        (train, dev), each in the order of the corpus; which rows go where depends on the sentences and the seed alone.

    Raises:
        DataError: If a text has too few rows to hold any out, or none is left of it for training.
    """
    held: set[tuple[str, str]] = set()
    chosen: dict[int, list[int]] = {}
    # The largest first: what it holds out is a small part of the others, but not the other way round.
    for n in sorted(range(len(corpus)), key=lambda n: (-len(corpus[n]), corpus[n].a, corpus[n].b)):
        pairs = corpus[n]
        wanted = min(most, round(share * len(pairs)))
        if wanted < 1 or len(pairs) < 20:
            raise DataError(
                f"{pairs.origin} must have at least 20 rows to hold some out for dev, but has {len(pairs)}. "
                "Give dev text."
            )
        # Rows that cannot be trained on anyway come first.
        order = sorted(range(len(pairs)), key=lambda i: (not _stands(held, pairs, i), _hash(seed, pairs, i)))
        chosen[n] = sorted(order[:wanted])
        dev = pairs.pick(chosen[n])
        held |= {(code, line) for code in (pairs.a, pairs.b) for line in dev.of(code)}
    train = [pairs.pick(i for i in range(len(pairs)) if not _stands(held, pairs, i)) for pairs in corpus]
    for left in train:
        if not len(left):
            raise DataError(
                f"{left.origin} must have rows left for training, but its few sentences all recur. Give dev text."
            )
    return tuple(train), tuple(corpus[n].pick(chosen[n]) for n in range(len(corpus)))


def _stands(held: set[tuple[str, str]], pairs: Pairs, row: int) -> bool:
    """Say whether a row has a sentence that is held out."""
    return (pairs.a, pairs.left[row]) in held or (pairs.b, pairs.right[row]) in held


def _hash(seed: int, pairs: Pairs, row: int) -> bytes:
    return hashlib.sha256("\t".join((str(seed), pairs.left[row], pairs.right[row])).encode()).digest()


def overlap(corpus: Iterable[Pairs], dev: Pairs) -> int:
    """Compare dev text with training text.

    Args:
        corpus: Texts of any pairs of languages.
        dev: Rows to judge by.

    Returns:
        How many of the rows have a sentence that stands in any text of its language, on either side, letter case aside.
    """
    left, right = (
        {line.lower() for pairs in corpus if code in (pairs.a, pairs.b) for line in pairs.of(code)}
        for code in (dev.a, dev.b)
    )
    return sum(x.lower() in left or y.lower() in right for x, y in zip(dev.left, dev.right, strict=True))


def remarks(corpus: Sequence[Pairs], dev: Sequence[Pairs] = (), *, together: bool = False) -> list[str]:
    """Return what whoever gave some text should know of it.

    Args:
        corpus: Training text.
        dev: Dev text that was given, and not held out of it.
        together: Whether all texts train the same adapters, or each its own.

    Returns:
        A line for each text of which rows were left out, and one for each dev text that shares sentences with the
        training text that it judges: all texts of its languages, or that of the same pair.
    """
    lines = [
        f"{pairs.origin}: left out {why}"
        for pairs in corpus
        if (why := ", ".join(f"{count} {reason}" for reason, count in pairs.dropped.items() if count))
    ]
    for other in dev:
        judged = [pairs for pairs in corpus if together or (pairs.a, pairs.b) == (other.a, other.b)]
        if shared := overlap(judged, other):
            named = "the training text" if together else " and ".join(pairs.origin for pairs in judged)
            lines.append(f"warning: {named} and its dev text {other.origin} share {shared} sentences")
    return lines
