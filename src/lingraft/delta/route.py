"""A route: which updates a row of a batch gets, with which weights; and one looked up at every site."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

from lingraft.atoms import Role, Scope, Site
from lingraft.base import Base
from lingraft.delta.bank import Token
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


class Addend(NamedTuple):
    """What one term of a route adds at one site."""

    update: Update
    weight: float | Tensor
    scope: Scope

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What tells it from another, as long as both are alive."""
        return id(self.update), id(self.weight) if isinstance(self.weight, Tensor) else self.weight, self.scope


Keys = tuple[tuple[Hashable, ...], ...]
Row = tuple[Keys, Sequence[Addend]]
"""What a row gets: addends, and what tells them from those of another row."""
NOTHING: Row = ((), ())


class Added(NamedTuple):
    """What a route adds at a site: all of it together, and each term by itself."""

    whole: Row
    apart: Sequence[Row]


class Resolved:
    """One route at every site of a base: what it adds there, by term."""

    def __init__(self, route: Route, base: Base) -> None:
        """Look up ``route`` at the sites of ``base``."""
        self.route = route
        self._decoder_only = base.family.kind == "decoder"
        self.addends = {site: tuple(self._addend(term, site) for term in route) for site in base.sites}
        self._at: dict[tuple[Site, bool], Added] = {}

    def at(self, site: Site, target: bool) -> Added:
        """Return what the route adds at a site, where only positions of the target span pass or all of them."""
        found = self._at.get((site, target))
        if found is None:
            there = [a if a and not (target and a.scope is Scope.SOURCE) else None for a in self.addends[site]]
            apart = [NOTHING if a is None else ((a.key,), (a,)) for a in there]
            whole = tuple(key for keys, _ in apart for key in keys), tuple(a for _, own in apart for a in own)
            found = self._at[site, target] = Added(apart[0] if len(apart) == 1 else whole, apart)
        return found

    @cached_property
    def reading(self) -> tuple[Hashable, ...]:
        """What the route adds while a source is read: where it is equal, so is what is read."""
        found: list[Hashable] = [
            (site, addend.key)
            for site, addends in self.addends.items()
            if self._decoder_only or site.stack == "encoder"
            for addend in addends
            if addend is not None and addend.scope is not Scope.TARGET
        ]
        return (*found, *(id(term.tokens[Role.SOURCE].row) for term in self.route if Role.SOURCE in term.tokens))

    def _addend(self, term: Term, site: Site) -> Addend | None:
        """Return what a term adds at a site, or None; in an encoder–decoder the stack itself is the span."""
        update = term.updates.get(site)
        if update is None:
            return None
        weight, scope = term.weights[site], term.scope
        if not isinstance(weight, Tensor) and weight == 0:
            return None
        if not self._decoder_only and scope is not Scope.EVERYWHERE:
            acts = (scope is Scope.SOURCE) == (site.stack == "encoder")
            return Addend(update, weight, Scope.EVERYWHERE) if acts else None
        return Addend(update, weight, scope)
