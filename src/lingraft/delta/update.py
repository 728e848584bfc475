"""A low-rank update ΔW = scale · B · A of one linear map, and the exact sum of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Update:
    """ΔW = ``scale`` · B · A, with A [r, in] and B [out, r] (Hu et al. 2021, LoRA, eq. 3; scale = α/r)."""

    A: Tensor
    B: Tensor
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.A.ndim != 2 or self.B.ndim != 2 or self.A.shape[0] != self.B.shape[1]:
            raise ValueError(
                f"`A` and `B` must have shapes [r, in] and [out, r], but are {tuple(self.A.shape)} and "
                f"{tuple(self.B.shape)} instead."
            )

    @property
    def rank(self) -> int:
        """The number of rank components r."""
        return self.A.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in), the shape of ΔW."""
        return self.B.shape[0], self.A.shape[1]

    def delta(self) -> Tensor:
        """Return ΔW [out, in] in float64, the reference that everything else is held against."""
        return self.scale * (self.B.double() @ self.A.double())


def fresh(out_features: int, in_features: int, rank: int, scale: float, generator: torch.Generator) -> Update:
    """Return an update that starts as zero: A Kaiming-uniform (a = √5), B zero, as in the LoRA code.

    Args:
        out_features: Rows of ΔW.
        in_features: Columns of ΔW.
        rank: The number of rank components.
        scale: The factor α/r.
        generator: Source of the random numbers of A.

    Returns:
        A trainable update in float32.
    """
    bound = math.sqrt(6.0 / ((1.0 + 5.0) * in_features))
    a = torch.empty(rank, in_features).uniform_(-bound, bound, generator=generator)
    return Update(a.requires_grad_(), torch.zeros(out_features, rank).requires_grad_(), scale)


def weighted_sum(terms: Sequence[tuple[float, Update]]) -> Update:
    """Return Σ w · ΔW exactly, as one update: the factors are concatenated along the rank.

    The weights and scales go into B, so any ranks and scales may be mixed; a sum of updates is an
    update again, so composition closes. Factors in half precision become float32, since the products would not fit.

    Args:
        terms: Pairs of a weight and an update, all of one shape; at least one.

    Returns:
        The sum, with scale 1 and the sum of the ranks.

    Raises:
        ValueError: If there is no term or the shapes differ.
    """
    shapes = {update.shape for _, update in terms}
    if len(shapes) != 1:
        raise ValueError(f"`terms` must be updates of one shape, but have {sorted(shapes)} instead.")
    if len(terms) == 1 and terms[0][0] == 1.0:
        return terms[0][1]
    return Update(
        torch.cat([_wide(update.A) for _, update in terms]),
        torch.cat([_wide(update.B) * (weight * update.scale) for weight, update in terms], dim=1),
    )


def _wide(factor: Tensor) -> Tensor:
    return factor.to(torch.promote_types(factor.dtype, torch.float32))
