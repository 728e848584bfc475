"""Text → words → character n-grams, in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

ORDERS = 4  # n-grams of 1 … ORDERS characters


class _Letters(dict[int, str]):
    """A table for `str.translate` that keeps letters, marks and apostrophes, and fills itself."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        kept = char if unicodedata.category(char)[0] in "LM" else "'" if char in "'’ʼ" else " "
        self[point] = kept
        return kept


_LETTERS = _Letters()


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case, without digits and punctuation."""
    plain = unicodedata.normalize("NFC", text).lower().translate(_LETTERS)
    return [word for word in (piece.strip("'") for piece in plain.split()) if word]


def ngrams(word: str) -> Iterator[str]:
    """Yield the n-grams of 1 … `ORDERS` characters of `word` with one space on each side."""
    padded = f" {word} "
    yield from word
    for order in range(2, ORDERS + 1):
        for start in range(len(padded) - order + 1):
            yield padded[start : start + order]
