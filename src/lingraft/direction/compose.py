"""From two adapters to a direction nobody trained: as a route, or as one update per site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lingraft.atoms import AdapterError, AdapterName, Direction, Role, Scope, Site
from lingraft.delta import Bank, Route, Term, Token, Update, weighted_sum
from lingraft.direction.recipe import Recipe


def route(bank: Bank, recipe: Recipe, direction: Direction) -> Route:
    """Return which updates a row of ``direction`` gets: references to the bank, nothing is copied.

    A side without an adapter (English, or a language that the base already knows) adds nothing.
    """
    terms = []
    for role, language in ((Role.SOURCE, direction.source), (Role.TARGET, direction.target)):
        adapter = bank.get(AdapterName(language, role))
        if adapter is not None:
            tokens = {} if adapter.token is None else {role: adapter.token}
            terms.append(Term(adapter.updates, recipe.weights(adapter.updates, role), adapter.scope, tokens))
    return tuple(terms)


@dataclass(frozen=True, eq=False)
class Composition:
    """One update per site and scope: what ``compose`` makes of a direction.

    It can be attached, exported as a PEFT adapter, merged into a copy of the base, or composed again.
    """

    direction: Direction
    updates: Mapping[Scope, Mapping[Site, Update]]
    tokens: Mapping[Role, Token] = field(default_factory=dict)
    """The tokens of those of its languages that the base has none for."""

    def route(self) -> Route:
        """Return the composition as a route."""
        terms = [
            Term(updates, dict.fromkeys(updates, 1.0), scope) for scope, updates in self.updates.items() if updates
        ]
        return (*terms, Term({}, {}, Scope.EVERYWHERE, self.tokens)) if self.tokens else tuple(terms)


def compose(bank: Bank, recipe: Recipe, direction: Direction) -> Composition:
    """Return Σ w · ΔW per site and scope, exactly, for any ranks, scales and per-layer ranks.

    Args:
        bank: Holds the adapters of the direction's languages.
        recipe: The weights of the roles.
        direction: The pair of languages.

    Returns:
        The composed direction; updates of different scopes stay apart, since their sum would not be
        one linear map.

    Raises:
        AdapterError: If the bank has no adapter for either side.
    """
    if not (terms := route(bank, recipe, direction)):
        there = ", ".join(map(str, bank)) or "none at all"
        raise AdapterError(f"`bank` must hold an adapter for a side of {direction}, but holds {there}.")
    return merge(direction, terms)


def merge(direction: Direction, terms: Iterable[Term]) -> Composition:
    """Sum the terms of a route that share a scope; of several tokens for one role the first counts."""
    terms = tuple(terms)
    parts: dict[Scope, dict[Site, list[tuple[float, Update]]]] = {}
    for term in terms:
        for site, update in term.updates.items():
            parts.setdefault(term.scope, {}).setdefault(site, []).append((float(term.weights[site]), update))
    return Composition(
        direction,
        {scope: {site: weighted_sum(summed) for site, summed in sites.items()} for scope, sites in parts.items()},
        {role: token for term in reversed(terms) for role, token in term.tokens.items()},
    )
