"""The low-rank term of a batch whose rows carry different updates: plain functions in one table.

Every kernel maps (x, mixes, groups, span) to the term that is added to the base's output:

- ``x`` [N, T, in]: the input of one site;
- ``mixes``: for each group of rows the update it gets, or None;
- ``groups``: which row belongs to which group;
- ``span`` [N, T, 1] in x's precision: 1 where a position belongs to the source span, 0 where to the
  target span; None where all positions belong to one span and the mixes are already reduced to it.

``segments`` is the reference; the others are tested against it, forward and backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from lingraft.delta.groups import Groups


class Mix(NamedTuple):
    """The update of one group at one site: Σ gain · B[:, i] A[i, :], each component within its scope.

    A component acts with ``target_gain`` on target positions and with ``target_gain + extra`` on
    source positions; ``extra`` is None where the two do not differ.
    """

    A: Tensor  # R, in
    B: Tensor  # out, R
    target_gain: Tensor  # R
    extra: Tensor | None  # R


def _gate(mix: Mix, span: Tensor | None) -> Tensor:
    """Return the factor of each component at each position: [R], or [n, T, R] where scopes differ."""
    if mix.extra is None or span is None:
        return mix.target_gain
    return torch.addcmul(mix.target_gain, span, mix.extra)


def segments(x: Tensor, mixes: Sequence[Mix | None], groups: Groups, span: Tensor | None) -> Tensor:
    """Two matrix products per group. Best where groups are few or long, as in training."""
    width = next(mix.B.shape[0] for mix in mixes if mix is not None)
    x, span = groups.sort(x), None if span is None else groups.sort(span)
    parts = []
    for mix, (start, stop) in zip(mixes, pairwise(groups.bounds), strict=True):
        rows = x[start:stop]
        if mix is None:
            parts.append(rows.new_zeros(*rows.shape[:2], width))
            continue
        gate = _gate(mix, None if span is None else span[start:stop])
        parts.append(linear(linear(rows, mix.A.to(x.dtype)) * gate.to(x.dtype), mix.B.to(x.dtype)))
    dtype = next(part.dtype for part, mix in zip(parts, mixes, strict=True) if mix is not None)
    out = parts[0] if len(parts) == 1 else torch.cat([part.to(dtype) for part in parts])
    return groups.unsort(out)


def grouped(x: Tensor, mixes: Sequence[Mix | None], groups: Groups, span: Tensor | None) -> Tensor:
    """Two batched products over all groups at once, ranks and rows padded. Best where groups are of like size.

    In training on two cores it costs a third of ``segments`` at 8 groups of 20 rows (d 256, r 16).
    """
    present = [mix for mix in mixes if mix is not None]
    rank = max(mix.A.shape[0] for mix in present)
    like = present[0]
    zero = Mix(like.A[:0], like.B[:, :0], like.target_gain[:0], None)
    filled = [zero if mix is None else mix for mix in mixes]
    room = [rank - mix.A.shape[0] for mix in filled]
    length, rows = x.shape[1], max(groups.counts)

    def group(t: Tensor) -> Tensor:
        return groups.spread(t).reshape(len(mixes), rows * t.shape[1], t.shape[2])

    a = torch.stack([_padded(mix.A, (0, 0, 0, n)) for mix, n in zip(filled, room, strict=True)])  # G, R, in
    b = torch.stack([_padded(mix.B, (0, n)) for mix, n in zip(filled, room, strict=True)])  # G, out, R
    gate = torch.stack([_padded(mix.target_gain, (0, n)) for mix, n in zip(filled, room, strict=True)])[:, None]
    if span is not None and any(mix.extra is not None for mix in present):
        extras = [torch.zeros_like(mix.target_gain) if mix.extra is None else mix.extra for mix in filled]
        extra = torch.stack([_padded(e, (0, n)) for e, n in zip(extras, room, strict=True)])[:, None]
        gate = torch.addcmul(gate.to(x.dtype), group(span), extra.to(x.dtype))  # G, rows · T, R
    hidden = torch.bmm(group(x), a.to(x.dtype).mT) * gate.to(x.dtype)
    out = torch.bmm(hidden, b.to(x.dtype).mT).view(len(mixes) * rows, length, b.shape[1])
    return groups.collect(out)


def _padded(t: Tensor, room: tuple[int, ...]) -> Tensor:
    """Pad with zeros at the end, where there is anything to pad."""
    return pad(t, room) if room[-1] else t


Kernel = Callable[[Tensor, Sequence[Mix | None], Groups, Tensor | None], Tensor]
KERNELS: dict[str, Kernel] = {"segments": segments, "grouped": grouped}


def choose(groups: Groups) -> Kernel:
    """Return the kernel for these groups: padding must not more than double the rows."""
    return grouped if len(groups) > 1 and max(groups.counts) * len(groups) <= 2 * groups.rows else segments
