"""What the groups of a batch get at some sites, as tensors that kernels can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lingraft.delta.arena import Stretch, stacked, stretches


class Mix(NamedTuple):
    """The update of one group at one site: Σ gain · B[:, i] A[i, :], each component within its scope.

    A component acts with ``target_gain`` on target positions and with ``target_gain + extra`` on
    source positions; ``extra`` is None where the two do not differ.
    """

    A: Tensor  # R, in
    B: Tensor  # out, R
    target_gain: Tensor  # R
    extra: Tensor | None  # R


@lru_cache(maxsize=1024)
def constant(value: float, rank: int, device: torch.device) -> Tensor:
    """Return [rank] times one value: the same tensor whenever it is asked for, so nobody may write to it."""
    return torch.full((rank,), value, device=device)


class Stacked(NamedTuple):
    """The updates of all groups at some sites as tensors; ranks are padded with zeros."""

    A: Tensor  # G, ΣR, in
    B: list[Tensor]  # for each site: G, out, R
    gain: Tensor | None  # G, 1, ΣR; None where it is 1, or part of B
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
        self._still: tuple[Tensor | None, Tensor | None] | None = None  # factors that nothing trains

    def tensors(self, dtype: torch.dtype, spans: bool, narrow: bool = False) -> Stacked:
        """Return the updates stacked.

        While gradients are wanted they are stacked anew and keep their type; else once, in the type to compute in.
        What is in training is never kept.

        Args:
            dtype: What the base puts out.
            spans: Whether positions of the source span are there.
            narrow: Whether what is in training may be cast to it as well, where its gradients need no more precision.

        Returns:
            The stacked factors.
        """
        spans = spans and self.scoped
        if torch.is_grad_enabled():
            return self._stacked(spans, dtype if narrow else None)
        if (dtype, spans) in self._kept:
            return self._kept[dtype, spans]
        made = self._stacked(spans)
        b = made.B
        if made.gain is not None and not spans:
            b = [each * gain for each, gain in zip(b, made.gain.split(self.ranks, -1), strict=True)]
            made = made._replace(gain=None)
        cast = lambda t: None if t is None else t.to(dtype)
        made = Stacked(made.A.to(dtype), [each.to(dtype) for each in b], cast(made.gain), cast(made.extra))
        if not self._trained:
            self._kept[dtype, spans] = made
        return made

    @cached_property
    def _trained(self) -> bool:
        return any(t is not None and t.requires_grad for mixes in self._present for mix in mixes for t in mix)

    def _stacked(self, spans: bool, dtype: torch.dtype | None = None) -> Stacked:
        a, b = [], []
        for mixes, rank, present, where in zip(self.sites, self.ranks, self._present, self._places, strict=True):
            if where is not None:
                a.append(stacked([mix.A for mix in present], where[0], dtype))
                b.append(stacked([mix.B for mix in present], where[1], dtype))
                continue
            filled = _filled(mixes, present[0])
            room = [rank - mix.A.shape[0] for mix in filled]
            a.append(torch.stack([_padded(mix.A, (0, 0, 0, n)) for mix, n in zip(filled, room, strict=True)]))
            b.append(torch.stack([_padded(mix.B, (0, n)) for mix, n in zip(filled, room, strict=True)]))
        gain, extra = self._gains
        return Stacked(_joined(a), b, gain, extra if spans else None)

    @cached_property
    def _places(self) -> list[tuple[list[Stretch] | None, list[Stretch] | None] | None]:
        """For each site where the factors of its groups lie; None where ranks differ or a group gets nothing."""
        return [
            (stretches([mix.A for mix in present]), stretches([mix.B for mix in present]))
            if len(present) == len(mixes) and all(mix.A.shape[0] == rank for mix in present)
            else None
            for mixes, rank, present in zip(self.sites, self.ranks, self._present, strict=True)
        ]

    @property
    def _gains(self) -> tuple[Tensor | None, Tensor | None]:
        """The factors of the components on target positions, and what is added to them on source positions."""
        if self._still is not None:
            return self._still
        gains, extras, ones = [], [], not self.scoped
        for mixes, rank, present in zip(self.sites, self.ranks, self._present, strict=True):
            filled = _filled(mixes, present[0])
            gains.append(_spread([mix.target_gain for mix in filled], rank))
            one = constant(1.0, rank, present[0].A.device)
            ones = ones and all(mix.target_gain is one for mix in filled)
            if self.scoped:
                zero = torch.zeros_like
                more = [zero(mix.target_gain) if mix.extra is None else mix.extra for mix in filled]
                extras.append(_spread(more, rank))
        found = None if ones else _joined(gains)[:, None], _joined(extras)[:, None] if self.scoped else None
        if not any(t is not None and t.requires_grad for t in found):
            self._still = found
        return found


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _filled(mixes: Sequence[Mix | None], like: Mix) -> list[Mix]:
    """Return mixes with one of rank 0 for each that is not there."""
    zero = Mix(like.A[:0], like.B[:, :0], like.target_gain[:0], None)
    return [zero if mix is None else mix for mix in mixes]


def _spread(gains: Sequence[Tensor], rank: int) -> Tensor:
    """Return gains [G, rank], padded with zeros; one that all share is not copied."""
    if len({id(gain) for gain in gains}) == 1 and len(gains[0]) == rank:
        return gains[0].expand(len(gains), rank)
    return torch.stack([_padded(gain, (0, rank - len(gain))) for gain in gains])


def _padded(t: Tensor, room: tuple[int, ...]) -> Tensor:
    """Pad with zeros at the end, where there is anything to pad."""
    return pad(t, room) if room[-1] else t
