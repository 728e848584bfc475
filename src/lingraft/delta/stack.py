"""What the groups of a batch get at some sites, as tensors that kernels can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


class Mix(NamedTuple):
    """The update of one group at one site: Σ gain · B[:, i] A[i, :], each component within its scope.

    A component acts with ``target_gain`` on target positions and with ``target_gain + extra`` on
    source positions; ``extra`` is None where the two do not differ.
    """

    A: Tensor  # R, in
    B: Tensor  # out, R
    target_gain: Tensor  # R
    extra: Tensor | None  # R


class Stacked(NamedTuple):
    """The updates of all groups at some sites as tensors; ranks are padded with zeros."""

    A: Tensor  # G, ΣR, in
    B: list[Tensor]  # for each site: G, out, R
    gain: Tensor | None  # G, 1, ΣR; None where it is part of B
    extra: Tensor | None  # G, 1, ΣR

    def gate(self, rows: Callable[[Tensor], Tensor], span: Tensor | None) -> Tensor | None:
        """Return the factor of each component at each position, or None; ``rows`` lays out groups as rows."""
        if self.gain is None or self.extra is None or span is None:
            return None if self.gain is None else rows(self.gain)
        return torch.addcmul(rows(self.gain), span, rows(self.extra))


class Stack:
    """What the groups of a batch get at some sites that read the same input."""

    def __init__(self, sites: Sequence[Sequence[Mix | None]]) -> None:
        """Hold what each site (outer) gives to each group (inner); every site gives something to some group."""
        self.sites = sites
        self._present = [[mix for mix in mixes if mix is not None] for mixes in sites]
        self.ranks = [max(mix.A.shape[0] for mix in mixes) for mixes in self._present]
        self.scoped = any(mix.extra is not None for mixes in self._present for mix in mixes)
        self.live = [tuple(mix is not None for mix in mixes) for mixes in sites]
        """For each site whether each group gets anything there."""
        self._kept: dict[tuple[torch.dtype, bool], Stacked] = {}

    def tensors(self, dtype: torch.dtype, spans: bool) -> Stacked:
        """Return the updates stacked.

        While gradients are wanted they are stacked anew and keep their type; else once, in the type to compute in.

        Args:
            dtype: What the base puts out.
            spans: Whether positions of the source span are there.

        Returns:
            The stacked factors.
        """
        spans = spans and self.scoped
        if torch.is_grad_enabled():
            return self._stacked(spans)
        if (dtype, spans) not in self._kept:
            made = self._stacked(spans)
            b = made.B
            if made.gain is not None and not spans:
                b = [each * gain for each, gain in zip(b, made.gain.split(self.ranks, -1), strict=True)]
                made = made._replace(gain=None)
            cast = lambda t: None if t is None else t.to(dtype)
            self._kept[dtype, spans] = Stacked(
                made.A.to(dtype), [each.to(dtype) for each in b], cast(made.gain), cast(made.extra)
            )
        return self._kept[dtype, spans]

    def _stacked(self, spans: bool) -> Stacked:
        a, b, gains, extras = [], [], [], []
        for mixes, rank, present in zip(self.sites, self.ranks, self._present, strict=True):
            like = present[0]
            zero = Mix(like.A[:0], like.B[:, :0], like.target_gain[:0], None)
            filled = [zero if mix is None else mix for mix in mixes]
            room = [rank - mix.A.shape[0] for mix in filled]
            a.append(torch.stack([_padded(mix.A, (0, 0, 0, n)) for mix, n in zip(filled, room, strict=True)]))
            b.append(torch.stack([_padded(mix.B, (0, n)) for mix, n in zip(filled, room, strict=True)]))
            gains.append(torch.stack([_padded(mix.target_gain, (0, n)) for mix, n in zip(filled, room, strict=True)]))
            if spans:
                more = [torch.zeros_like(mix.target_gain) if mix.extra is None else mix.extra for mix in filled]
                extras.append(torch.stack([_padded(e, (0, n)) for e, n in zip(more, room, strict=True)]))
        joined = lambda parts: parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return Stacked(joined(a), b, joined(gains)[:, None], joined(extras)[:, None] if spans else None)


def _padded(t: Tensor, room: tuple[int, ...]) -> Tensor:
    """Pad with zeros at the end, where there is anything to pad."""
    return pad(t, room) if room[-1] else t
