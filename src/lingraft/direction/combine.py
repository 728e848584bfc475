"""Ways to combine dense matrices entry by entry, as papers on merging have them; `methods.py` is their table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lingraft.delta.prune import smallest


def magnitude(deltas: Sequence[Tensor], density: float, generator: Generator) -> Tensor:
    """Return the sum of the entries of largest magnitude of each matrix."""
    return torch.stack(_trim(deltas, density)).sum(0)


def dare(deltas: Sequence[Tensor], density: float, generator: Generator) -> Tensor:
    """Drop entries at random and divide the others by the density (Yu et al. 2024): in the mean, the exact sum.

    Args:
        deltas: Matrices of one shape.
        density: The chance of an entry to stay.
        generator: On the CPU, so that every device drops the same entries.

    Returns:
        The sum of what stays.
    """
    drawn = [torch.rand(delta.shape, generator=generator, dtype=torch.float64) for delta in deltas]
    kept = [draw.to(delta.device) < density for draw, delta in zip(drawn, deltas, strict=True)]
    return torch.stack([delta * keep / density for delta, keep in zip(deltas, kept, strict=True)]).sum(0)


def ties(deltas: Sequence[Tensor], density: float, generator: Generator) -> Tensor:
    """Trim, elect a sign per entry, and take the mean of the values that have it (Yadav et al. 2023, algorithm 1)."""
    trimmed = torch.stack(_trim(deltas, density))  # n, out, in
    agree = (trimmed.sign() == trimmed.sum(0).sign()) & (trimmed != 0)
    return (trimmed * agree).sum(0) / agree.sum(0).clamp(min=1)


def _trim(values: Sequence[Tensor], density: float) -> list[Tensor]:
    """Return each matrix with its entries of largest magnitude alone."""
    return [value * smallest([value], 1 - density)[0] for value in values]
