"""Which sentences a language was trained on, as short hashes: enough to warn of test lines seen before."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

WIDTH = 10  # hex digits of one hash: one false alarm in 25 million test lines at 40,000 sentences
MOST = 40_000  # hashes kept; of more sentences the smallest hashes, so that a count is a lower bound


def _hash(line: str) -> str:
    return hashlib.sha256(" ".join(line.lower().split()).encode()).hexdigest()[:WIDTH]


def remember(lines: Iterable[str]) -> str:
    """Return the hashes of sentences, sorted and put together; equal sentences give equal text."""
    return "".join(sorted({_hash(line) for line in lines})[:MOST])


def count_seen(seen: str, lines: Iterable[str]) -> int:
    """Return how many lines are among the remembered sentences, letter case and spaces aside."""
    known = {seen[i : i + WIDTH] for i in range(0, len(seen), WIDTH)}
    return sum(_hash(line) in known for line in lines)


def is_memory(value: object) -> bool:
    """Say whether a value may be what ``remember`` returned."""
    return (
        isinstance(value, str)
        and len(value) <= MOST * WIDTH
        and len(value) % WIDTH == 0
        and re.fullmatch(r"[0-9a-f]*", value) is not None
    )
