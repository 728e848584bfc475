"""Recipes: with which weight each role takes part at each site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lingraft.atoms import ConfigError, Role, Site

Pair = tuple[float, float]
Sites = Mapping[Site, Pair] | Mapping[tuple[str, int, str], Pair]
_MOST = 1000.0  # far beyond what makes sense, and far from where numbers overflow


@dataclass(frozen=True)
class Recipe:
    """ΔW(X→Y) = a · ΔW_in(X) + b · ΔW_out(Y), with (a, b) = (``source``, ``target``) at every site.

    ``layers`` overrides the pair for single layers, by (stack, layer), and ``sites`` for single sites, by
    (stack, layer, name). Where the adapters act is not the recipe's to say: each adapter carries its own
    scope. Language-specific LoRA's indexing is a recipe whose pairs are (1, 0) or (0, 1).
    """

    source: float = 1.0
    target: float = 1.0
    layers: Mapping[tuple[str, int], Pair] = field(default_factory=dict)
    sites: Sites = field(default_factory=dict)

    @classmethod
    def ratio(cls, weight: float) -> Recipe:
        """Return the one-parameter recipe (1 − λ, λ) with λ = ``weight`` for the target."""
        return cls(1.0 - weight, weight)

    def weight(self, site: Site, role: Role) -> float:
        """Return the weight of a role at a site: the site's own, else that of its layer, else the recipe's."""
        pair = self.sites.get(site) or self.layers.get((site.stack, site.layer)) or (self.source, self.target)
        return pair[0] if role is Role.SOURCE else pair[1]

    def weights(self, sites: Iterable[Site], role: Role) -> dict[Site, float]:
        """Return the weight of a role at each of some sites."""
        if self.sites or self.layers:
            return {site: self.weight(site, role) for site in sites}
        return dict.fromkeys(sites, self.source if role is Role.SOURCE else self.target)

    def roles(self, site: Site) -> set[Role]:
        """Return the roles that take part at a site, i.e. whose weight there is other than 0."""
        return {role for role in Role if self.weight(site, role) != 0}

    def check(self, sites: Iterable[Site]) -> None:
        """Check that the recipe names nothing that a base does not have, and that its weights are numbers.

        Args:
            sites: All sites of the base.

        Raises:
            ConfigError: If ``layers`` or ``sites`` name others, with what there is, or a weight is no number
                or so large that nothing but overflow can come of it.
        """
        known = set(sites)
        layers = {(site.stack, site.layer) for site in known}
        problems = [
            f"the weights of {where} must be two numbers from -{_MOST:g} to {_MOST:g}, but are {pair!r:.60} instead."
            for where, pair in self._pairs()
            if len(pair) != 2 or not all(isinstance(weight, int | float) and abs(weight) <= _MOST for weight in pair)
        ]
        if strange := sorted(set(self.layers) - layers):
            there = ", ".join(f"{stack} {_spans(layers, stack)}" for stack in sorted({stack for stack, _ in layers}))
            problems.append(
                f"`layers` must name layers of the base, but names {_dotted(strange)} instead. It has {there}."
            )
        if missing := sorted(set(self.sites) - known):
            names = {stack: sorted({site.name for site in known if site.stack == stack}) for stack, _ in layers}
            there = "; ".join(f"{s} {_spans(layers, s)} with {', '.join(names[s])}" for s in sorted(names))
            problems.append(
                f"`sites` must name sites of the base, but names {_dotted(missing)} instead. It has {there}."
            )
        if problems:
            raise ConfigError("\n".join(problems))

    def _pairs(self) -> Iterator[tuple[str, Pair]]:
        """Yield every pair of weights with what it is for."""
        yield "the recipe", (self.source, self.target)
        for place, pair in [*self.layers.items(), *self.sites.items()]:
            yield _dotted([place]), pair

    def resolve(self, sites: Iterable[Site]) -> dict[Site, dict[Role, float]]:
        """Return the weight of each role at each site; every site is mixed exactly once.

        Args:
            sites: All sites of the base.

        Returns:
            Site → weight of each role.

        Raises:
            ConfigError: If the recipe names layers or sites that are not among them.
        """
        sites = list(sites)
        self.check(sites)
        return {site: {role: self.weight(site, role) for role in Role} for site in sites}


def _dotted(names: Iterable[tuple[str | int, ...]], most: int = 6) -> str:
    """Return names as they stand in a recipe's file, the first few of them."""
    shown = [".".join(map(str, name)) for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def _spans(layers: Iterable[tuple[str, int]], stack: str) -> str:
    """Return the numbers of a stack's layers, with runs as ``first-last``."""
    runs: list[list[int]] = []
    for number in sorted(layer for name, layer in layers if name == stack):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
