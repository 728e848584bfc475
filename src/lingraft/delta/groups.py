"""How the rows of a batch fall into groups that get the same update at a site."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class Groups:
    """The group of each row. Rows of a group need not stand together; groups are numbered from 0.

    Index tensors are made once and serve all sites that see the batch in the same way.
    """

    def __init__(self, owners: Sequence[int], device: torch.device | str = "cpu") -> None:
        """State the group of each row.

        Args:
            owners: For each row the number of its group; each number below the largest occurs.
            device: Where the rows are.
        """
        self.owners = tuple(owners)
        self.device = torch.device(device)
        self.counts = [0] * (max(self.owners) + 1)
        for owner in self.owners:
            self.counts[owner] += 1
        self._repeated: dict[int, Groups] = {}
        self._tiles: dict[tuple[int, int | None, tuple[bool, ...]], Tensor] = {}

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.owners)

    @cached_property
    def in_order(self) -> bool:
        """Whether each group's rows stand together, the groups in the order of their numbers."""
        return all(a <= b for a, b in pairwise(self.owners))

    @cached_property
    def order(self) -> Tensor | None:
        """[N] the row numbers group by group; None where they are in that order already."""
        return None if self.in_order else self.standing

    @cached_property
    def standing(self) -> Tensor:
        """[N] the row numbers group by group."""
        return self._index(self._order)

    @cached_property
    def inverse(self) -> Tensor | None:
        """[N] where each row stands in ``order``; None where nothing moves."""
        return None if self.in_order else self._index(sorted(range(self.rows), key=self._order.__getitem__))

    @cached_property
    def bounds(self) -> list[int]:
        """The first position of each group in ``order``, and N at the end."""
        return [0, *accumulate(self.counts)]

    @cached_property
    def even(self) -> bool:
        """Whether all groups have the same number of rows."""
        return min(self.counts) == max(self.counts)

    @cached_property
    def slots(self) -> Tensor | None:
        """[G · most] for each group as many row numbers as the largest has, its last one repeated.

        None where that is every row once, in place.
        """
        if self.even and self.in_order:
            return None
        most = max(self.counts)
        return self._index(
            [self._order[min(start + i, stop - 1)] for start, stop in pairwise(self.bounds) for i in range(most)]
        )

    @cached_property
    def back(self) -> Tensor | None:
        """[N] where each row stands among ``slots``; None as there."""
        if self.even and self.in_order:
            return None
        most, places = max(self.counts), [0] * self.rows
        for group, (start, stop) in enumerate(pairwise(self.bounds)):
            for i, row in enumerate(self._order[start:stop]):
                places[row] = group * most + i
        return self._index(places)

    def tiles(self, length: int, most: int | None, live: tuple[bool, ...]) -> Tensor:
        """Cut the positions of the batch, group by group, into stretches within one group.

        Args:
            length: Positions of a row, T.
            most: Positions of a stretch, at most; None: each group is one stretch.
            live: Which groups are cut; the positions of the others are in no stretch.

        Returns:
            [stretches, 3]: the group, the first position and the one after the last, counted in the order of
            ``standing``.
        """
        key = length, most, live
        if key not in self._tiles:
            found = []
            for group, (start, stop) in enumerate(pairwise(self.bounds)):
                first, end = start * length, stop * length
                if live[group]:
                    step = most or end - first
                    found += [(group, at, min(at + step, end)) for at in range(first, end, step)]
            self._tiles[key] = torch.tensor(found, device=self.device, dtype=torch.int64).view(-1, 3)
        return self._tiles[key]

    def sort(self, t: Tensor) -> Tensor:
        """Return the rows of [N, …] group by group."""
        return t if self.order is None or self.inverse is None else _spread(t, self.order, self.inverse)

    def unsort(self, t: Tensor) -> Tensor:
        """Inverse of ``sort``."""
        return t if self.inverse is None else _collect(t, self.inverse)

    def spread(self, t: Tensor) -> Tensor:
        """Return the rows of [N, …] as [G · most, …], each group filled up to the largest one."""
        return t if self.slots is None or self.back is None else _spread(t, self.slots, self.back)

    def collect(self, t: Tensor) -> Tensor:
        """Inverse of ``spread``; what fills up is dropped."""
        return t if self.back is None else _collect(t, self.back)

    @cached_property
    def index(self) -> Tensor | None:
        """[N] the group of each row; None where each row is a group of its own, in order."""
        return None if self.owners == tuple(range(self.rows)) else self._index(self.owners)

    def of_rows(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """Return for each row what [G, …] holds of its group, in a type to compute in; gradients are summed in t's."""
        return t.to(dtype) if self.index is None else _OfRows.apply(t, self.index, dtype)

    def repeat(self, factor: int) -> Groups:
        """Return the groups where each row stands ``factor`` times side by side, as beams do."""
        if factor == 1:
            return self
        if factor not in self._repeated:
            self._repeated[factor] = Groups([owner for owner in self.owners for _ in range(factor)], self.device)
        return self._repeated[factor]

    @cached_property
    def _order(self) -> list[int]:
        return sorted(range(self.rows), key=self.owners.__getitem__)

    def _index(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, device=self.device)


def _spread(t: Tensor, there: Tensor, back: Tensor) -> Tensor:
    """Return rows by index; what gradients need is kept only where they are wanted."""
    return _Spread.apply(t, there, back) if torch.is_grad_enabled() else t.index_select(0, there)


def _collect(t: Tensor, back: Tensor) -> Tensor:
    """Inverse of ``_spread``."""
    return _Collect.apply(t, back) if torch.is_grad_enabled() else t.index_select(0, back)


class _Spread(Function):
    """Rows by index. Where a row goes to several places, only the one that is collected has a gradient."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, there: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return t.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


class _Collect(Function):
    """Rows by distinct indexes; in the backward pass the others get zero."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        ctx.rows = t.shape[0]
        return t.index_select(0, back)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        found = gradient.new_zeros(ctx.rows, *gradient.shape[1:])
        return found.index_copy_(0, ctx.saved_tensors[0], gradient), None


class _OfRows(Function):
    """A group's values for each of its rows; their gradients are summed in the precision of the values."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, index: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(index)
        ctx.groups, ctx.dtype = len(t), t.dtype
        return t.to(dtype).index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        found = gradient.new_zeros(ctx.groups, *gradient.shape[1:], dtype=ctx.dtype)
        return found.index_add_(0, ctx.saved_tensors[0], gradient.to(found.dtype)), None, None
