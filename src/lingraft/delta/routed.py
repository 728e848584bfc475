"""The routed layers of a base: each row of a batch gets its own weighted set of updates.

Nothing of the base is replaced or written: a forward hook at each site adds the low-rank term to the
output, so detaching restores the base exactly, and a quantised linear map is served like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lingraft.atoms import Role, Scope, Site
from lingraft.base import Base
from lingraft.delta import kernels
from lingraft.delta.bank import Token
from lingraft.delta.groups import Groups
from lingraft.delta.kernels import Mix
from lingraft.delta.tokens import Tokens
from lingraft.delta.update import Update


class Term(NamedTuple):
    """One addend of a route: an adapter's updates, the weight at each site, and where they act.

    A weight is a number, or a tensor of one element where it is learned.
    """

    updates: Mapping[Site, Update]
    weights: Mapping[Site, float | Tensor]
    scope: Scope
    tokens: Mapping[Role, Token] = MappingProxyType({})  # those that the base lacks; a token has no weight


Route = tuple[Term, ...]
_Addend = tuple[Update, float | Tensor, Scope]


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
        self._passes: dict[Site, list[_Pass]] = {}
        self._tokens = Tokens(base)
        self._rows = 0
        self._span: Tensor | None = None  # rows, T of the prompt
        self._span_now: Tensor | None = None  # rows of the pass, T of the pass, 1

    def __enter__(self) -> Routing:
        for site in self.base.sites:
            self._handles.append(self.base.module(site).register_forward_hook(self._hook(site)))
        if self._decoder_only:
            decoder = self.base.model.get_decoder()
            self._handles.append(decoder.register_forward_pre_hook(self._before, with_kwargs=True))
        else:
            self._handles += self._tokens.hooks()
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._passes.clear()

    def set(self, routes: Sequence[tuple[Route, int]], span: Tensor | None = None) -> None:
        """State the routes of the coming batch.

        Args:
            routes: For each group of consecutive rows its route and the number of its rows.
            span: For decoder-only bases, bool [rows, T]: True where a position of the prompt (or of
                the training sequence) belongs to the source span. Positions past T are target span.
        """
        self._rows = sum(rows for _, rows in routes)
        self._span = span
        self._span_now = None
        plan = _Plan(routes, self._decoder_only, self.base.device)
        self._passes = {site: plan.passes(site) for site in self.base.sites}
        self._tokens.set([([term.tokens for term in route], rows) for route, rows in routes])

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows of the batch only; the others are over.

        Args:
            rows: Their numbers, rising.
        """
        self._rows = len(rows)
        self._tokens.keep(rows)
        if self._span is not None:
            self._span = self._span[list(rows)]
        picked: dict[int, tuple[Groups, list[int]]] = {}
        for site, passes in self._passes.items():
            for each in passes:
                if id(each.groups) not in picked:
                    picked[id(each.groups)] = each.groups.pick(rows)
            self._passes[site] = [each.pick(*picked[id(each.groups)]) for each in passes]

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
            x = args[0]  # N, T, in
            span = None if self._span_now is None else self._span_now.to(x.dtype)
            changed = None
            for each in self._passes.get(site, ()):
                chosen = each.full if span is not None or not self._decoder_only else each.target
                if all(mix is None for mix in chosen):
                    continue
                groups = each.groups.repeat(x.shape[0] // self._rows)  # beams of a row stand side by side
                kernel = self._kernel or kernels.choose(groups)
                changed = (output if changed is None else changed) + kernel(x, chosen, groups, span).to(output.dtype)
            return changed

        return add


class _Pass(NamedTuple):
    """What each group of rows gets at one site: over the whole sequence, and on the target span alone."""

    groups: Groups
    full: list[Mix | None]
    target: list[Mix | None]

    def pick(self, groups: Groups, left: Sequence[int]) -> _Pass:
        """Return what some of the groups get."""
        return _Pass(groups, [self.full[i] for i in left], [self.target[i] for i in left])


class _Plan:
    """Resolves the routes of a batch, site by site.

    Rows that get the same at a site form one group, wherever they stand. Where routes combine few
    adapters in many ways, each term has a pass of its own: the groups are then the adapters.
    """

    def __init__(self, routes: Sequence[tuple[Route, int]], decoder_only: bool, device: torch.device) -> None:
        self._routes = [route for route, _ in routes]
        self._counts = [count for _, count in routes]
        self._decoder_only = decoder_only
        self._device = device
        self._terms = max((len(route) for route in self._routes), default=0)
        self._groups: dict[tuple[int, ...], Groups] = {}

    def passes(self, site: Site) -> list[_Pass]:
        """Return what is added at ``site``; in an encoder–decoder the stack itself is the span."""
        terms = [[_addend(term, site, self._decoder_only) for term in route] for route in self._routes]
        addends = [tuple(addend for addend in each if addend is not None) for each in terms]
        whole = self._pass(addends)
        if whole is None or self._terms < 2:
            return [] if whole is None else [whole]
        apart = [
            self._pass([(each[i],) if i < len(each) and each[i] is not None else () for each in terms])
            for i in range(self._terms)
        ]
        parts = [each for each in apart if each is not None]
        return parts if len(whole.full) > 2 * sum(len(each.full) for each in parts) else [whole]

    def _pass(self, addends: Sequence[tuple[_Addend | None, ...]]) -> _Pass | None:
        """Group the routes by what they add; None where none adds anything."""
        if not any(addends):
            return None
        keys: dict[tuple[Any, ...], int] = {}
        owners = [keys.setdefault(tuple(map(_key, each)), len(keys)) for each in addends]
        members: dict[int, list[_Addend]] = {}
        for owner, each in zip(owners, addends, strict=True):
            members.setdefault(owner, [addend for addend in each if addend is not None])
        return _Pass(
            self._grouping(tuple(owners)),
            [_mix(each) for each in members.values()],
            [_mix([addend for addend in each if addend[2] is not Scope.SOURCE]) for each in members.values()],
        )

    def _grouping(self, owners: tuple[int, ...]) -> Groups:
        if owners not in self._groups:
            rows = [owner for owner, count in zip(owners, self._counts, strict=True) for _ in range(count)]
            self._groups[owners] = Groups(rows, self._device)
        return self._groups[owners]


def _addend(term: Term, site: Site, decoder_only: bool) -> _Addend | None:
    """Return what a term adds at a site, or None."""
    update = term.updates.get(site)
    if update is None:
        return None
    weight, scope = term.weights[site], term.scope
    if not isinstance(weight, Tensor) and weight == 0:
        return None
    if not decoder_only and scope is not Scope.EVERYWHERE:
        return (update, weight, Scope.EVERYWHERE) if (scope is Scope.SOURCE) == (site.stack == "encoder") else None
    return update, weight, scope


def _key(addend: _Addend | None) -> tuple[Any, ...]:
    """Return what tells an addend from another."""
    if addend is None:
        return ()
    update, weight, scope = addend
    return id(update), id(weight) if isinstance(weight, Tensor) else weight, scope


def _mix(addends: Sequence[_Addend]) -> Mix | None:
    """Concatenate weighted updates along the rank, keeping what each component does where."""
    if not addends:
        return None
    updates = [update for update, _, _ in addends]
    device = updates[0].A.device
    gains = [_gain(update, weight, device) for update, weight, _ in addends]
    scopes = {scope for _, _, scope in addends}
    a = updates[0].A if len(updates) == 1 else torch.cat([update.A for update in updates])
    b = updates[0].B if len(updates) == 1 else torch.cat([update.B for update in updates], dim=1)
    if scopes == {Scope.EVERYWHERE}:
        return Mix(a, b, torch.cat(gains), None)
    zero = [torch.zeros_like(gain) for gain in gains]
    target = torch.cat([z if s is Scope.SOURCE else g for g, z, (_, _, s) in zip(gains, zero, addends, strict=True)])
    source = torch.cat([z if s is Scope.TARGET else g for g, z, (_, _, s) in zip(gains, zero, addends, strict=True)])
    return Mix(a, b, target, source - target)


def _gain(update: Update, weight: float | Tensor, device: torch.device) -> Tensor:
    """Return the factor of each rank component [r]."""
    if isinstance(weight, Tensor):
        return (weight * update.scale).expand(update.rank)
    return torch.full((update.rank,), weight * update.scale, device=device)
