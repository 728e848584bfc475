"""The low-rank term of a batch whose rows carry different updates: plain functions in one table.

Every kernel maps (x, mixes, bounds, span) to the term that is added to the base's output:

- ``x`` [N, T, in]: the input of one site;
- ``mixes``: for each group of consecutive rows the update it gets, or None;
- ``bounds``: the first row of each group, and N at the end (so ``len(mixes) + 1`` numbers);
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


def segments(x: Tensor, mixes: Sequence[Mix | None], bounds: Sequence[int], span: Tensor | None) -> Tensor:
    """Two matrix products per group. Best where groups are few or long, as in training."""
    width = next(mix.B.shape[0] for mix in mixes if mix is not None)
    parts = []
    for mix, start, stop in zip(mixes, bounds[:-1], bounds[1:], strict=True):
        rows = x[start:stop]
        if mix is None:
            parts.append(rows.new_zeros(*rows.shape[:2], width))
            continue
        gate = _gate(mix, None if span is None else span[start:stop])
        parts.append(linear(linear(rows, mix.A.to(x.dtype)) * gate.to(x.dtype), mix.B.to(x.dtype)))
    dtype = next(part.dtype for part, mix in zip(parts, mixes, strict=True) if mix is not None)
    return parts[0] if len(parts) == 1 else torch.cat([part.to(dtype) for part in parts])


def grouped(x: Tensor, mixes: Sequence[Mix | None], bounds: Sequence[int], span: Tensor | None) -> Tensor:
    """Two batched products over all groups at once, ranks and rows padded. Best where groups are of like size.

    In training on two cores it costs a third of ``segments`` at 8 groups of 20 rows (d 256, r 16).
    """
    present = [mix for mix in mixes if mix is not None]
    rank = max(mix.A.shape[0] for mix in present)
    like = present[0]
    zero = Mix(like.A[:0], like.B[:, :0], like.target_gain[:0], None)
    filled = [zero if mix is None else mix for mix in mixes]
    room = [rank - mix.A.shape[0] for mix in filled]
    length = x.shape[1]
    counts = [stop - start for start, stop in pairwise(bounds)]
    rows = max(counts)
    even = min(counts) == rows
    slots = None if even else _slots(bounds, rows, x.device)  # G · rows

    def group(t: Tensor) -> Tensor:
        return (t if slots is None else t[slots]).reshape(len(mixes), rows * t.shape[1], t.shape[2])

    a = torch.stack([pad(mix.A, (0, 0, 0, n)) for mix, n in zip(filled, room, strict=True)])  # G, R, in
    b = torch.stack([pad(mix.B, (0, n)) for mix, n in zip(filled, room, strict=True)])  # G, out, R
    gate = torch.stack([pad(mix.target_gain, (0, n)) for mix, n in zip(filled, room, strict=True)])[:, None]  # G, 1, R
    if span is not None and any(mix.extra is not None for mix in present):
        extras = [torch.zeros_like(mix.target_gain) if mix.extra is None else mix.extra for mix in filled]
        extra = torch.stack([pad(e, (0, n)) for e, n in zip(extras, room, strict=True)])[:, None]
        gate = torch.addcmul(gate.to(x.dtype), group(span), extra.to(x.dtype))  # G, rows · T, R
    hidden = torch.bmm(group(x), a.to(x.dtype).mT) * gate.to(x.dtype)
    out = torch.bmm(hidden, b.to(x.dtype).mT).view(len(mixes) * rows, length, b.shape[1])
    if even:
        return out
    kept = [g * rows + i for g, count in enumerate(counts) for i in range(count)]
    return out[torch.tensor(kept, device=x.device)]


def _slots(bounds: Sequence[int], rows: int, device: torch.device) -> Tensor:
    """Return for each group ``rows`` row numbers, the last one repeated where the group is shorter."""
    return torch.tensor(
        [min(start + i, stop - 1) for start, stop in pairwise(bounds) for i in range(rows)],
        device=device,
    )


Kernel = Callable[[Tensor, Sequence[Mix | None], Sequence[int], Tensor | None], Tensor]
KERNELS: dict[str, Kernel] = {"segments": segments, "grouped": grouped}


def choose(bounds: Sequence[int]) -> Kernel:
    """Return the kernel for groups with these bounds: padding must not more than double the rows."""
    groups = len(bounds) - 1
    longest = max(stop - start for start, stop in pairwise(bounds))
    return grouped if groups > 1 and longest * groups <= 2 * bounds[-1] else segments
