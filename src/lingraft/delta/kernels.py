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


def gathered(x: Tensor, mixes: Sequence[Mix | None], bounds: Sequence[int], span: Tensor | None) -> Tensor:
    """One batched product over all rows, ranks padded. Best where groups are many and short, as in decoding."""
    present = [mix for mix in mixes if mix is not None]
    rank = max(mix.A.shape[0] for mix in present)
    like = present[0]
    zero = Mix(like.A[:0], like.B[:, :0], like.target_gain[:0], None)
    filled = [zero if mix is None else mix for mix in mixes]
    room = [rank - mix.A.shape[0] for mix in filled]
    rows = torch.repeat_interleave(
        torch.arange(len(mixes), device=x.device), torch.tensor(bounds, device=x.device).diff()
    )

    def stack(tensors: list[Tensor], pads: list[tuple[int, ...]]) -> Tensor:
        return torch.stack([pad(t, p) for t, p in zip(tensors, pads, strict=True)])[rows].to(x.dtype)

    a = stack([mix.A for mix in filled], [(0, 0, 0, n) for n in room])  # N, R, in
    b = stack([mix.B for mix in filled], [(0, n) for n in room])  # N, out, R
    gate = stack([mix.target_gain for mix in filled], [(0, n) for n in room])[:, None]  # N, 1, R
    if span is not None and any(mix.extra is not None for mix in present):
        extras = [torch.zeros_like(mix.target_gain) if mix.extra is None else mix.extra for mix in filled]
        gate = torch.addcmul(gate, span, stack(extras, [(0, n) for n in room])[:, None])  # N, T, R
    return torch.bmm(torch.bmm(x, a.mT) * gate, b.mT)


Kernel = Callable[[Tensor, Sequence[Mix | None], Sequence[int], Tensor | None], Tensor]
KERNELS: dict[str, Kernel] = {"segments": segments, "gathered": gathered}


def choose(groups: int, rows: int) -> Kernel:
    """Return the kernel for a batch of ``rows`` rows in ``groups`` groups."""
    return gathered if groups > 8 and rows < 4 * groups else segments
