"""The routed layers of a base: each row of a batch gets its own weighted set of updates.

Nothing of the base is replaced or written: a forward hook at each site adds the low-rank term to the
output, so detaching restores the base exactly, and a quantised linear map is served like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate, pairwise
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lingraft.atoms import Scope, Site
from lingraft.base import Base
from lingraft.delta import kernels
from lingraft.delta.kernels import Mix
from lingraft.delta.update import Update


class Term(NamedTuple):
    """One addend of a route: an adapter's updates, the weight at each site, and where they act."""

    updates: Mapping[Site, Update]
    weights: Mapping[Site, float]
    scope: Scope


Route = tuple[Term, ...]


class Routing(AbstractContextManager["Routing"]):
    """Hooks on every site of a base, and the routes of the batch that is about to pass.

    Use as a context manager; within it, call ``set`` before each forward pass or generation.
    """

    def __init__(self, base: Base, kernel: str | None = None) -> None:
        """Prepare routing for ``base``; ``kernel`` overrides the choice by shape."""
        self.base = base
        self._kernel = None if kernel is None else kernels.KERNELS[kernel]
        self._decoder_only = base.family.kind == "decoder"
        self._handles: list[RemovableHandle] = []
        self._mixes: dict[Site, _SiteMixes] = {}
        self._bounds: list[int] = [0]
        self._span: Tensor | None = None  # rows, T of the prompt
        self._span_now: Tensor | None = None  # rows of the pass, T of the pass, 1

    def __enter__(self) -> Routing:
        for site in self.base.sites:
            self._handles.append(self.base.module(site).register_forward_hook(self._hook(site)))
        if self._decoder_only:
            decoder = self.base.model.get_decoder()
            self._handles.append(decoder.register_forward_pre_hook(self._before, with_kwargs=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._mixes.clear()

    def set(self, routes: Sequence[tuple[Route, int]], span: Tensor | None = None) -> None:
        """State the routes of the coming batch.

        Args:
            routes: For each group of consecutive rows its route and the number of its rows.
            span: For decoder-only bases, bool [rows, T]: True where a position of the prompt (or of
                the training sequence) belongs to the source span. Positions past T are target span.
        """
        self._bounds = [0]
        for _, rows in routes:
            self._bounds.append(self._bounds[-1] + rows)
        self._span = span
        self._span_now = None
        self._mixes = {
            site: _SiteMixes.of(site, [route for route, _ in routes], self._decoder_only) for site in self.base.sites
        }

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows of the batch only; the others are over.

        Args:
            rows: Their numbers, rising.
        """
        counts = [sum(start <= row < stop for row in rows) for start, stop in pairwise(self._bounds)]
        left = [i for i, count in enumerate(counts) if count]
        self._bounds = [0, *accumulate(counts[i] for i in left)]
        if self._span is not None:
            self._span = self._span[list(rows)]
        self._mixes = {site: mixes.pick(left) for site, mixes in self._mixes.items()}

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Cut the window of the span that this pass covers, from the length of its cache."""
        if self._span is None:
            return
        ids = kwargs.get("input_ids")
        ids = args[0] if ids is None and args else ids
        ids = kwargs["inputs_embeds"] if ids is None else ids
        cache = kwargs.get("past_key_values")
        offset = 0 if cache is None else int(cache.get_seq_length())
        rows, length = ids.shape[:2]
        if offset >= self._span.shape[1]:
            self._span_now = None
            return
        window = self._span[:, offset : offset + length]
        window = nn.functional.pad(window, (0, length - window.shape[1]))
        self._span_now = window.repeat_interleave(rows // window.shape[0], dim=0)[..., None]

    def _hook(self, site: Site) -> Any:
        def add(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            mixes = self._mixes.get(site)
            if mixes is None:
                return None
            x = args[0]  # N, T, in
            factor = x.shape[0] // self._bounds[-1]  # beams of a row stand side by side
            bounds = [bound * factor for bound in self._bounds]
            span = None if self._span_now is None else self._span_now.to(x.dtype)
            chosen = mixes.full if span is not None or not self._decoder_only else mixes.target
            if all(mix is None for mix in chosen):
                return None
            kernel = self._kernel or kernels.choose(bounds)
            return output + kernel(x, chosen, bounds, span).to(output.dtype)

        return add


class _SiteMixes(NamedTuple):
    """What each group gets at one site: over the whole sequence, and on the target span alone."""

    full: list[Mix | None]
    target: list[Mix | None]

    def pick(self, groups: Sequence[int]) -> _SiteMixes:
        """Return what some of the groups get."""
        return _SiteMixes([self.full[i] for i in groups], [self.target[i] for i in groups])

    @classmethod
    def of(cls, site: Site, routes: Sequence[Route], decoder_only: bool) -> _SiteMixes:
        """Resolve the routes at ``site``; in an encoder–decoder the stack itself is the span."""
        full, target = [], []
        for route in routes:
            terms = [
                (t.updates[site], t.weights[site], t.scope) for t in route if site in t.updates and t.weights[site]
            ]
            if not decoder_only:
                here = Scope.SOURCE if site.stack == "encoder" else Scope.TARGET
                terms = [(u, w, Scope.EVERYWHERE) for u, w, scope in terms if scope in (Scope.EVERYWHERE, here)]
            full.append(_mix(terms))
            target.append(_mix([term for term in terms if term[2] is not Scope.SOURCE]))
        return cls(full, target)


def _mix(terms: Sequence[tuple[Update, float, Scope]]) -> Mix | None:
    """Concatenate weighted updates along the rank, keeping what each component does where."""
    if not terms:
        return None
    updates = [update for update, _, _ in terms]
    device = updates[0].A.device
    source, target = [], []
    for update, weight, scope in terms:
        gain = weight * update.scale
        source += [gain if scope is not Scope.TARGET else 0.0] * update.rank
        target += [gain if scope is not Scope.SOURCE else 0.0] * update.rank
    extra = None if source == target else torch.tensor(source, device=device) - torch.tensor(target, device=device)
    a = updates[0].A if len(updates) == 1 else torch.cat([update.A for update in updates])
    b = updates[0].B if len(updates) == 1 else torch.cat([update.B for update in updates], dim=1)
    return Mix(a, b, torch.tensor(target, device=device), extra)
