"""Randomness as a pure function of a seed and of what it is for."""

from __future__ import annotations

import hashlib

import torch


def seeded(seed: int, *words: object) -> torch.Generator:
    """Return a generator whose state is a pure function of the seed and the words."""
    digest = hashlib.sha256(repr((seed, *map(str, words))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
