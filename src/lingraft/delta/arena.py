"""Tensors in training that lie evenly spaced in one, so that those of many adapters are read, and trained, at once.

Adapters alike are the rows of one tensor, their gradients those of another. What they have at a site is then a part
of all rows: it is read without a copy where all take part, and its gradient is added by one operation rather than by
one for each adapter. Values and gradients are bit for bit those of tensors that lie by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable


class Arena:
    """The values of some adapters alike, and their gradients, an adapter a row."""

    def __init__(self, values: Tensor, gradient: Tensor) -> None:
        """Hold values [K, P] and their gradients [K, P]."""
        self.values = values
        self.gradient = gradient
        self._indexes: dict[tuple[int, ...], Tensor] = {}

    def index(self, rows: tuple[int, ...]) -> Tensor | None:
        """Return some row numbers as a tensor; None where they are all rows in order."""
        if rows == tuple(range(len(self.values))):
            return None
        if rows not in self._indexes:
            if len(self._indexes) >= 64:  # batches of few adapters out of many are of ever other ones
                self._indexes.clear()
            self._indexes[rows] = torch.tensor(rows, device=self.values.device)
        return self._indexes[rows]


class Place(NamedTuple):
    """Where a tensor lies: columns ``start`` … ``stop`` − 1 of a row of an arena."""

    arena: Arena
    row: int
    start: int
    stop: int


def settle(tensor: Tensor, place: Place) -> None:
    """Move a leaf tensor and its gradient to a place; it stays the tensor that it is.

    The gradient at the place counts from now on; what the tensor had is dropped.

    Args:
        tensor: A leaf.
        place: As large as the tensor.
    """
    arena, row, start, stop = place
    values = arena.values[row, start:stop].view(tensor.shape)
    values.copy_(tensor.detach())
    tensor.data = values
    tensor.requires_grad_()
    tensor.grad = arena.gradient[row, start:stop].view(tensor.shape)  # the backward pass adds to it in place
    tensor.place = place  # type: ignore[attr-defined]


class Stretch(NamedTuple):
    """Columns ``start`` … ``stop`` − 1 of some rows of an arena."""

    arena: Arena
    start: int
    stop: int
    rows: tuple[int, ...]


def stretches(tensors: Sequence[Tensor]) -> list[Stretch] | None:
    """Return where tensors in training lie, those side by side together; None where each lies by itself."""
    found: list[tuple[tuple[Arena, int, int], list[int]]] = []
    for tensor in tensors:
        place: Place | None = getattr(tensor, "place", None)
        if place is None or not tensor.requires_grad:
            return None
        where = place.arena, place.start, place.stop
        if not found or found[-1][0] != where:
            found.append((where, []))
        found[-1][1].append(place.row)
    return None if 1 < len(tensors) == len(found) else [Stretch(*where, tuple(rows)) for where, rows in found]


def stacked(tensors: Sequence[Tensor], where: Sequence[Stretch] | None, dtype: torch.dtype | None = None) -> Tensor:
    """Return tensors of one shape as one, [G, …], with gradients.

    Args:
        tensors: The G tensors.
        where: Their stretches, where they are to be read from arenas; the gradients are added there.
        dtype: What they are cast to; None: they keep their type.

    Returns:
        The tensor; it must not be written to.
    """
    dtype = dtype or tensors[0].dtype
    if where is None or not torch.is_grad_enabled():
        return torch.stack(list(tensors)).to(dtype)
    parts = [_Read.apply(tensors[0], *stretch, dtype) for stretch in where]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class _Read(Function):
    """Some columns of some rows of an arena, whose gradients are added in the backward pass itself."""

    @staticmethod
    def forward(
        ctx: Any, like: Tensor, arena: Arena, start: int, stop: int, rows: tuple[int, ...], dtype: torch.dtype
    ) -> Tensor:
        index = arena.index(rows)
        ctx.into, ctx.index = arena.gradient[:, start:stop].unflatten(1, like.shape), index
        found = arena.values.detach()[:, start:stop].unflatten(1, like.shape)
        return (found if index is None else found.index_select(0, index)).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, ...]:
        if ctx.index is None:
            ctx.into.add_(gradient)
        else:
            ctx.into.index_add_(0, ctx.index, gradient.to(ctx.into.dtype))  # no row twice
        return None, None, None, None, None, None
