"""How long texts are in tokens of the base."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any


def count(tokenizer: Any, text: str) -> int:
    """Return the number of tokens of a text, without special ones.

    A fast tokenizer's own call sets flags, which the worker's thread relies on. This sets none.
    """
    fast = getattr(tokenizer, "backend_tokenizer", None)
    return len(tokenizer.tokenize(text) if fast is None else fast.encode(text, add_special_tokens=False))


def cut(tokenizer: Any, text: str, most: int) -> str:
    """Return the longest beginning of a text that has at most some tokens.

    Args:
        tokenizer: The base's tokenizer.
        text: Any text.
        most: How many tokens it may have.

    Returns:
        The beginning, with the text's own blanks and line ends; the whole text where it is short enough.
    """
    if count(tokenizer, text) <= most:
        return text
    lengths = range(1, len(text))
    return text[: bisect_right(lengths, most, key=lambda length: count(tokenizer, text[:length]))]
