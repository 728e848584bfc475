"""The low-rank term of a batch whose rows carry different updates: plain functions in one table.

A kernel has two halves. ``shrink`` maps the input of some sites to what each of them has at its rank; sites that
read the same input (q, k and v; gate and up) do so in one product. ``expand`` adds one site's term to what the base
has put out, in place. Both take

- ``x`` [N, T, in]: the input of the sites;
- ``stack``: for each site and group of rows the update it gets, or None;
- ``groups``: which row belongs to which group;
- ``span`` [N, T, 1] in x's precision: 1 where a position belongs to the source span, 0 where to the target span;
  None where all positions are target span, or no update tells the two apart.

``segments`` is the reference; the others are tested against it, forward and backward.

Bounds. A token costs 2 · R · (in + out) FLOPs at a site beside the base's 2 · in · out. Where one token of each row
passes, what counts is bytes: the base's in · out values are read once, and R · (in + out) for each group. So groups
are adapters that are read once, whatever the number of their rows, and nothing is copied that could be read in place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import linear

from lingraft.atoms.errors import ConfigError
from lingraft.delta.groups import Groups
from lingraft.delta.stack import Stack


class Shrunk(NamedTuple):
    """What one site has at its rank, and the factors that lead on from there; for the kernel that made it."""

    hidden: Any
    B: Any


class Kernel(NamedTuple):
    """The two halves; ``shrink`` gives each site what its ``expand`` reads."""

    shrink: Callable[[Tensor, Stack, Groups, Tensor | None], list[Shrunk]]
    expand: Callable[[Tensor, Shrunk, Groups], Tensor]


def _segments_shrink(x: Tensor, stack: Stack, groups: Groups, span: Tensor | None) -> list[Shrunk]:
    """One product for each group and site."""
    x, span = groups.sort(x), None if span is None else groups.sort(span)
    found = []
    for mixes in stack.sites:
        parts: list[Tensor | None] = []
        for mix, (start, stop) in zip(mixes, pairwise(groups.bounds), strict=True):
            if mix is None:
                parts.append(None)
                continue
            gate = mix.target_gain
            if mix.extra is not None and span is not None:
                gate = torch.addcmul(gate, span[start:stop], mix.extra)  # n, T, R
            parts.append(linear(x[start:stop], mix.A.to(x.dtype)) * gate.to(x.dtype))
        found.append(Shrunk(parts, [None if mix is None else mix.B for mix in mixes]))
    return found


def _segments_expand(onto: Tensor, shrunk: Shrunk, groups: Groups) -> Tensor:
    parts = [
        onto.new_zeros(count, *onto.shape[1:]) if part is None else linear(part, b.to(part.dtype))
        for part, b, count in zip(*shrunk, groups.counts, strict=True)
    ]
    return onto + groups.unsort(torch.cat(parts))


def _rows_shrink(x: Tensor, stack: Stack, groups: Groups, span: Tensor | None) -> list[Shrunk]:
    """Each row by a copy of its group's factors: no row moves, and groups may be of any sizes."""
    made = stack.tensors(x.dtype, span is not None)
    gate = made.gate(lambda t: groups.of_rows(t, x.dtype), span)
    hidden = torch.bmm(x, groups.of_rows(made.A, x.dtype).mT)  # N, T, ΣR
    parts = (hidden if gate is None else hidden * gate).split(stack.ranks, -1)
    return [Shrunk(part, groups.of_rows(b, x.dtype)) for part, b in zip(parts, made.B, strict=True)]


def _rows_expand(onto: Tensor, shrunk: Shrunk, groups: Groups) -> Tensor:
    return _added(onto, *shrunk)


def _grouped_shrink(x: Tensor, stack: Stack, groups: Groups, span: Tensor | None) -> list[Shrunk]:
    """All rows of a group together, each group filled up to the largest: factors are read where they lie."""
    made = stack.tensors(x.dtype, span is not None, narrow=True)

    def group(t: Tensor) -> Tensor:
        return groups.spread(t).reshape(len(groups), -1, t.shape[2])

    gate = made.gate(lambda t: t.to(x.dtype), None if span is None else group(span))
    hidden = torch.bmm(group(x), made.A.to(x.dtype).mT)  # G, most · T, ΣR
    parts = (hidden if gate is None else hidden * gate).split(stack.ranks, -1)
    return [Shrunk(part, b.to(x.dtype)) for part, b in zip(parts, made.B, strict=True)]


def _grouped_expand(onto: Tensor, shrunk: Shrunk, groups: Groups) -> Tensor:
    if groups.slots is None:
        return _added(onto, *shrunk)
    term = torch.bmm(shrunk.hidden, shrunk.B.mT).view(-1, *onto.shape[1:])
    return onto.add_(groups.collect(term))


def _fused_shrink(x: Tensor, stack: Stack, groups: Groups, span: Tensor | None) -> list[Shrunk]:
    """One program for all sites and groups: no row moves and no factor is copied; what comes of it is fp32."""
    made = stack.tensors(x.dtype, span is not None)
    hidden = _fused()(x, made.A, groups, tuple(map(any, zip(*stack.live, strict=True))))  # N, T, ΣR
    gate = made.gate(lambda t: groups.of_rows(t, hidden.dtype), None if span is None else span.to(hidden.dtype))
    parts = (hidden if gate is None else hidden * gate).split(stack.ranks, -1)
    return [Shrunk(part, (b, live)) for part, b, live in zip(parts, made.B, stack.live, strict=True)]


def _fused_expand(onto: Tensor, shrunk: Shrunk, groups: Groups) -> Tensor:
    return _fused()(shrunk.hidden, shrunk.B[0], groups, shrunk.B[1], onto)


@cache
def _fused() -> Callable[..., Tensor]:
    """Return the product that Triton compiles."""
    if not has_triton():
        raise ConfigError(
            "Triton must be installed for the kernel `fused`, but is missing instead. Install a build of PyTorch "
            "for CUDA, which brings it along, or choose another kernel."
        )
    from lingraft.delta.triton_kernels import product

    return product


@cache
def has_triton() -> bool:
    """Return whether Triton is installed."""
    return find_spec("triton") is not None


def _added(onto: Tensor, hidden: Tensor, b: Tensor) -> Tensor:
    """Return ``onto`` plus the products of [G, n, R] and [G, out, R], in place; rows of a group stand together."""
    found: Tensor = _Added.apply(onto, hidden, b) if torch.is_grad_enabled() else _add(onto, hidden, b)
    return found


def _add(onto: Tensor, hidden: Tensor, b: Tensor) -> Tensor:
    onto.view(len(b), -1, onto.shape[-1]).baddbmm_(hidden, b.mT)
    return onto


class _Added(Function):
    """The product is summed into the base's output without ever being a tensor of its own."""

    @staticmethod
    def forward(ctx: Any, onto: Tensor, hidden: Tensor, b: Tensor) -> Tensor:
        ctx.mark_dirty(onto)
        ctx.save_for_backward(hidden, b)
        return _add(onto, hidden, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden, b = ctx.saved_tensors
        _, wants_hidden, wants_b = ctx.needs_input_grad
        grouped = gradient.reshape(len(b), -1, gradient.shape[-1])
        # B's gradient by its transpose: R is few, and few rows are what matrix products are good at.
        return (
            gradient,
            torch.bmm(grouped, b) if wants_hidden else None,
            torch.bmm(hidden.mT, grouped).mT if wants_b else None,
        )


KERNELS: dict[str, Kernel] = {
    "segments": Kernel(_segments_shrink, _segments_expand),
    "grouped": Kernel(_grouped_shrink, _grouped_expand),
    "rows": Kernel(_rows_shrink, _rows_expand),
    "fused": Kernel(_fused_shrink, _fused_expand),
}
_FEW = 1024  # positions, groups filled up, at most, where reading the factors is all that counts


def choose(groups: Groups, length: int, rank: int) -> str:
    """Return the name of the kernel for a shape.

    Args:
        groups: How the rows fall into groups.
        length: Positions of a row, T.
        rank: The highest rank at a site.

    Returns:
        A key of ``KERNELS``.
    """
    if groups.even and groups.in_order:
        return "grouped"
    if groups.device.type == "cuda" and has_triton():
        return "fused"
    if rank <= length:
        return "rows"
    filled = max(groups.counts) * len(groups)
    return "grouped" if filled * length <= _FEW or filled <= 2 * groups.rows else "segments"


def describe() -> dict[str, str]:
    """Return for each kernel when it is chosen, for people to read."""
    return {
        "fused": "on CUDA, where Triton is, whenever `grouped` would have to move rows",
        "grouped": "groups of equal size in order, one token of each row at a time, or long ranks in groups alike",
        "rows": "rows in any order, no shorter than the rank: training and prompts of mixed directions",
        "segments": "long ranks in groups of very different size; the reference for the others",
    }
