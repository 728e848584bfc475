"""What a base's context has room for: which sentences, and answers of which length."""

from __future__ import annotations

from collections.abc import Callable

from lingraft.atoms import DataError, Direction
from lingraft.base import Base, Encoded

MOST = 512
"""The most new tokens of a sentence: one of 170 characters, where each is 3 bytes and each byte a token."""
_AROUND = 64
"""Tokens beside the sentence, if they are not counted; no format of ours has as many."""


def budget(base: Base, row: Encoded, most: int = MOST) -> int:
    """Return the most new tokens of a row.

    The bound stops runaway rows. It is each row's own, so that no row's answer depends on who else is there. Where a
    tokenizer does not know the target's script, it has a token for each byte: up to 3 for a character, against 4
    characters of the source for a token, or a few fewer.

    Args:
        base: The base; its context bounds prompt and answer together, in an encoder–decoder each stack's own.
        row: The encoded sentence.
        most: No more than this.

    Returns:
        At least 1.

    Raises:
        DataError: If the row leaves no room for an answer.
    """
    if (left := base.room(row)) < 1:
        raise DataError(
            f"a sentence must fit into the base's {base.context} tokens with its translation, but has "
            f"{len(row.source)} instead. Break it into shorter ones."
        )
    return min(most, left, 12 * len(row.source) + 24)


def fitting(base: Base, direction: Direction) -> Callable[[str], bool]:
    """Return a test of sentences: whether each leaves room for an answer that is as long as itself.

    Args:
        base: The base.
        direction: The pair of languages.

    Returns:
        A function for ``sentences.split``.
    """

    def fits(sentence: str) -> bool:
        # Most are known to fit without being tokenised: no tokenizer has more tokens than bytes.
        if 2 * len(sentence.encode(errors="surrogatepass")) + _AROUND <= base.context:
            return True
        (row,) = base.format.encode(direction, [sentence])
        return len(row.source) <= base.room(row)

    return fits
