"""Singular values of updates, the angles between what two of them read or write, and factors of a dense ΔW.

All in float64, and from the factors where there are some: a QR of each makes the decomposition of B · A one of an
r × r matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lingraft.delta import Update

_STORED = torch.finfo(torch.float32).eps
"""A component smaller than this beside the largest says nothing: factors are stored in float32 at best."""


class Spectrum(NamedTuple):
    """ΔW = U · diag(s) · Vᵀ with k orthonormal columns each, s falling."""

    U: Tensor  # out, k
    s: Tensor  # k
    V: Tensor  # in, k

    def larger(self, share: float) -> Spectrum:
        """Return the components larger than ``share`` of the largest one; none of a zero matrix."""
        kept = int((self.s > share * self.s[:1]).sum())
        return Spectrum(self.U[:, :kept], self.s[:kept], self.V[:, :kept])


def spectrum(update: Update) -> Spectrum:
    """Return the singular value decomposition of an update, with k = min(r, out, in)."""
    q_out, r_out = torch.linalg.qr(update.B.detach().double() * update.scale)
    q_in, r_in = torch.linalg.qr(update.A.detach().double().T)
    u, s, v = torch.linalg.svd(r_out @ r_in.T, full_matrices=False)
    return Spectrum(q_out @ u, s, q_in @ v.T)


def dense_spectrum(delta: Tensor) -> Spectrum:
    """Return the singular value decomposition of a matrix [out, in], with k = min(out, in)."""
    u, s, v = torch.linalg.svd(delta, full_matrices=False)
    return Spectrum(u, s, v.T)


def truncate(found: Spectrum, rank: int | None, dtype: torch.dtype) -> tuple[Update, float]:
    """Return the closest update of a rank (Eckart & Young 1936), and how much of the energy it loses.

    The root of each singular value goes into either factor, so that both have the same norm.

    Args:
        found: The decomposition of what is to be factorised.
        rank: The largest rank; None: as many components as are not rounding noise.
        dtype: Of the factors.

    Returns:
        The update, of rank 1 at least, and Σ s² of the components left out / Σ s² of all, 0 … 1.
    """
    noise = max(found.U.shape[0], found.V.shape[0]) * torch.finfo(torch.float64).eps
    found = found.larger(noise)
    kept = max(1, len(found.s) if rank is None else min(rank, len(found.s)))
    energies = found.s.square()
    lost = float(energies[kept:].sum() / energies.sum()) if len(energies) else 0.0
    if not len(energies):
        a, b = found.V.new_zeros(1, found.V.shape[0]), found.U.new_zeros(found.U.shape[0], 1)
    else:
        root = found.s[:kept].sqrt()
        a, b = (found.V[:, :kept] * root).T, found.U[:, :kept] * root
    return Update(a.to(dtype).contiguous(), b.to(dtype).contiguous()), lost


def principal_angles(first: Tensor, second: Tensor) -> Tensor:
    """Return the principal angles between two subspaces in degrees, 0 … 90, the smallest first.

    Small angles come from their sines, since a cosine near 1 holds half the digits only (Björck & Golub 1973).

    Args:
        first: [d, k] orthonormal columns.
        second: [d, l] orthonormal columns.

    Returns:
        min(k, l) angles; none where a subspace is empty.
    """
    if first.shape[1] < second.shape[1]:
        first, second = second, first
    product = first.T @ second  # k, l with k ≥ l
    if not product.numel():
        return product.new_zeros(0)
    cosines = torch.linalg.svdvals(product).clamp(max=1)  # falling
    sines = torch.linalg.svdvals(second - first @ product).clamp(max=1).flip(0)  # rising
    return torch.where(cosines.square() > 0.5, sines.asin(), cosines.acos()).rad2deg()


def angles(first: Update, second: Update) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the principal angles, in degrees, between the column and between the row spaces of two ΔW.

    Column spaces hold what the updates can write, row spaces what they read.

    Args:
        first: An update.
        second: Another one of the same shape.

    Returns:
        The angles of the column spaces and those of the row spaces, the smallest first.
    """
    one, other = spectrum(first).larger(_STORED), spectrum(second).larger(_STORED)
    return (
        tuple(principal_angles(one.U, other.U).tolist()),
        tuple(principal_angles(one.V, other.V).tolist()),
    )
