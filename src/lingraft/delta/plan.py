"""Who gets what in a batch: the routes of its rows, resolved at every site once for all passes of the batch.

A plan is a value. Rows that leave or join make a new one, which takes over what is resolved already.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lingraft.atoms import Role, Scope, Site
from lingraft.base import Base
from lingraft.delta.bank import Token
from lingraft.delta.groups import Groups
from lingraft.delta.route import NOTHING, Addend, Keys, Resolved, Route, Row
from lingraft.delta.stack import Mix, Stack, constant

_Members = dict[Keys, Sequence[Addend]]
_APART = 1.5
"""How many times more components must be read for combined adapters than for each by itself to make a pass for each."""
_THERE = {Scope.SOURCE: 0.0, Scope.TARGET: 1.0, Scope.EVERYWHERE: 1.0}
"""How much a component counts on target positions."""
_MORE = {Scope.SOURCE: 1.0, Scope.TARGET: -1.0, Scope.EVERYWHERE: 0.0}
"""How much more it counts on source positions."""


class Pass(NamedTuple):
    """One low-rank term of sites that read the same input: how the rows fall into groups, and what the groups get."""

    groups: Groups
    stack: Stack
    """The same object for as long as the groups get the same."""
    owners: tuple[int, ...]
    """The group of each route."""


Passes = Mapping[Site, Sequence[tuple[Pass, int]]]
"""What is added at each site: passes, and the site's place in the stack of each."""
_READS_WITH = {"k": "q", "v": "q", "cross_v": "cross_k", "up": "gate"}
"""Sites that read the very tensor that another one reads."""


class Plan:
    """The rows of a batch and what each of them gets at every site.

    Rows that get the same at a site form one group, wherever they stand. Where routes combine few
    adapters in many ways, each term has a pass of its own: the groups are then the adapters.
    """

    def __init__(self, base: Base, rows: Sequence[Route], span: Tensor | None = None, before: Plan | None = None):
        """State the route of each row.

        Args:
            base: The base whose sites they are resolved at.
            rows: The route of each row.
            span: For decoder-only bases, bool [rows, T]: True where a position of the prompt (or of the training
                sequence) belongs to the source span. Positions past T are target span.
            before: A plan that has some of the routes already. Sums of what is in training are made anew all the same,
                since a step may have changed it.
        """
        self._base = base
        self.rows = tuple(rows)
        self.span = span
        known = {} if before is None else before._resolved
        there = {id(route): route for route in rows}
        # Routes keep their order while rows come and leave, so that what is gathered for them can be kept as well.
        self._resolved: dict[int, Resolved] = {each: known[each] for each in known if each in there}
        for each, route in there.items():
            if each not in self._resolved:
                self._resolved[each] = Resolved(route, base)
        self._found: dict[bool, Passes] = {}
        self._fleeting: bool = False  # whether there are sums of what is in training
        # Where the routes are those of the plan before, all that differs is whose rows they are.
        last = None if before is None or before._fleeting else before
        same = last is not None and list(last._resolved) == list(self._resolved)
        self._alike: dict[bool, Passes] = {**last._alike, **last._found} if last is not None and same else {}
        self._made: dict[bool, dict[Hashable, Any]] = {} if last is None else dict(last._made)
        self._groups: dict[tuple[int, ...], Groups] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, rows: Sequence[int]) -> Plan:
        """Return the plan of some rows, in this order, that go on past their prompts."""
        return Plan(self._base, [self.rows[row] for row in rows], before=self)

    def join(self, rows: Sequence[Route]) -> Plan:
        """Return the plan of these rows and ``rows`` after them, all past their prompts."""
        return Plan(self._base, [*self.rows, *rows], before=self)

    def reading(self, row: int) -> tuple[Hashable, ...]:
        """Return what a row's route adds while its source is read; see ``Resolved.reading``."""
        return self._resolved[id(self.rows[row])].reading

    def tokens(self) -> list[tuple[list[Mapping[Role, Token]], int]]:
        """Return the tokens of each run of rows with the same route, and the number of its rows."""
        runs = [list(run) for _, run in groupby(self.rows, key=id)]
        return [([term.tokens for term in run[0]], len(run)) for run in runs]

    def passes(self, target: bool = False) -> Passes:
        """Return what is added at each site. What the plan before had stacked is taken over.

        Args:
            target: Whether only positions of the target span pass. In an encoder–decoder the stack itself is the span.

        Returns:
            Passes; sites that read the same input share theirs where the same routes add something at each.
        """
        if target not in self._found and target in self._alike:
            self._found[target] = self._regrouped(self._alike[target])
        elif target not in self._found:
            old = self._made.get(target, {})
            self._made = {phase: made for phase, made in self._made.items() if phase in self._found} | {target: {}}
            found: dict[Site, list[tuple[Pass, int]]] = {}
            for _, sites in groupby(self._base.sites, lambda s: (s.stack, s.layer, _READS_WITH.get(s.name, s.name))):
                alike: dict[tuple[tuple[int, ...], ...], dict[Site, list[_Members]]] = {}
                for site in sites:
                    ways = self._at(site, target)
                    owners = tuple(_numbered([keys for keys, _ in rows]) for rows in ways)
                    alike.setdefault(owners, {})[site] = [dict(rows) for rows in ways]
                for owners, members in alike.items():
                    self._share(owners, members, old, target, found)
            self._found[target] = found
        return self._found[target]

    def _regrouped(self, passes: Passes) -> Passes:
        """Return passes of a plan with the same routes for the rows of this one."""
        shared = {id(each): each for passing in passes.values() for each, _ in passing}
        anew = {key: each._replace(groups=self._grouping(each.owners)) for key, each in shared.items()}
        return {site: [(anew[id(each)], place) for each, place in passing] for site, passing in passes.items()}

    def _at(self, site: Site, target: bool) -> list[list[Row]]:
        """Return for each pass at a site what each route adds: its keys and its addends."""
        terms = [each.at(site, target) for each in self._resolved.values()]
        whole = [found.whole for found in terms]
        if all(len(found.apart) <= 1 for found in terms):
            return [whole] if any(keys for keys, _ in whole) else []
        most = max(len(found.apart) for found in terms)
        apart = [[found.apart[i] if i < len(found.apart) else NOTHING for found in terms] for i in range(most)]
        chosen = apart if _weight(whole) > _APART * sum(map(_weight, apart)) else [whole]
        return [rows for rows in chosen if any(keys for keys, _ in rows)]

    def _share(
        self,
        owners: tuple[tuple[int, ...], ...],
        members: Mapping[Site, list[_Members]],
        old: Mapping[Hashable, Any],
        target: bool,
        found: dict[Site, list[tuple[Pass, int]]],
    ) -> None:
        """Add to ``found`` the passes that some sites have in common."""
        made = self._made[target]
        for number, numbers in enumerate(owners):
            parts = {site: passes[number] for site, passes in members.items()}
            name = tuple((site, *part) for site, part in parts.items())
            if name in old:
                made[name] = old[name]
                made.update((keys, old[keys]) for part in parts.values() for keys in part)
            else:
                mixes = [[self._mix(keys, addends, old, target) for keys, addends in p.items()] for p in parts.values()]
                made[name] = Stack(mixes)
            shared = Pass(self._grouping(numbers), made[name], numbers)
            for place, site in enumerate(parts):
                found.setdefault(site, []).append((shared, place))

    def _mix(self, keys: Keys, addends: Sequence[Addend], old: Mapping[Hashable, Any], target: bool) -> Mix | None:
        """Return the sum of some addends; these are held too, since that keeps alive what the keys name."""
        made = self._made[target]
        if keys not in made:
            made[keys] = old.get(keys) or (_mixed(addends, self._base.dtype, target), addends)
            self._fleeting |= _fleeting(addends)
        mix: Mix | None = made[keys][0]
        return mix

    def _grouping(self, owners: tuple[int, ...]) -> Groups:
        if owners not in self._groups:
            number = dict(zip(self._resolved, owners, strict=True))
            self._groups[owners] = Groups([number[id(route)] for route in self.rows], self._base.device)
        return self._groups[owners]


def _numbered(keys: Sequence[Keys]) -> tuple[int, ...]:
    """Return for each key the number of the different ones before its first occurrence."""
    number: dict[Keys, int] = {}
    return tuple([number.setdefault(each, len(number)) for each in keys])


def _weight(rows: list[Row]) -> int:
    """Return how many components are read for some rows, those of rows that add the same only once."""
    return sum(addend.update.rank for addends in dict(rows).values() for addend in addends)


def _fleeting(addends: Sequence[Addend]) -> bool:
    """Whether the mix of some addends is computed from tensors in training, rather than those very tensors."""
    if any(isinstance(addend.weight, Tensor) and addend.weight.requires_grad for addend in addends):
        return True
    return len(addends) > 1 and any(addend.update.A.requires_grad for addend in addends)


def _mixed(addends: Sequence[Addend], dtype: torch.dtype, target: bool) -> Mix | None:
    """Concatenate weighted updates along the rank, keeping what each component does where.

    Args:
        addends: What is summed.
        dtype: What the base computes in; what is not trained is cast to it once.
        target: Whether only positions of the target span pass.

    Returns:
        The mix; None where nothing is summed.
    """
    if not addends:
        return None
    updates = [addend.update for addend in addends]
    scopes = {addend.scope for addend in addends}
    join = lambda parts: parts[0] if len(parts) == 1 else torch.cat(parts)
    a = join([update.A for update in updates])
    b = updates[0].B if len(updates) == 1 else torch.cat([update.B for update in updates], dim=1)
    if not a.requires_grad and not b.requires_grad:
        a, b = a.to(dtype), b.to(dtype)
    if target or scopes == {Scope.EVERYWHERE}:
        return Mix(a, b, join([_gain(addend) for addend in addends]), None)
    there, more = ([_gain(addend, share[addend.scope]) for addend in addends] for share in (_THERE, _MORE))
    return Mix(a, b, join(there), join(more))


def _gain(addend: Addend, share: float = 1.0) -> Tensor:
    """Return the factor of each rank component [r], times a share."""
    update, weight, _ = addend
    if isinstance(weight, Tensor):
        return (weight * (share * update.scale)).expand(update.rank)
    return constant(share * weight * update.scale, update.rank, update.A.device)
