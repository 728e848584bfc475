"""Recipes: with which weight each role takes part at each site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lingraft.atoms import ConfigError, Role, Site


@dataclass(frozen=True)
class Recipe:
    """ΔW(X→Y) = a · ΔW_in(X) + b · ΔW_out(Y), with (a, b) = (``source``, ``target``) at every site.

    ``layers`` overrides the pair for single layers, by (stack, layer). Where the adapters act is not
    the recipe's to say: each adapter carries its own scope.
    """

    source: float = 1.0
    target: float = 1.0
    layers: Mapping[tuple[str, int], tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def ratio(cls, weight: float) -> Recipe:
        """Return the one-parameter recipe (1 − λ, λ) with λ = ``weight`` for the target."""
        return cls(1.0 - weight, weight)

    def resolve(self, sites: Iterable[Site]) -> dict[Site, dict[Role, float]]:
        """Return the weight of each role at each site; every site is mixed exactly once.

        Args:
            sites: The sites to mix at; every layer that ``layers`` names must be among theirs.

        Returns:
            Site → weight of each role: that of its layer in ``layers``, else the recipe's own.

        Raises:
            ConfigError: If ``layers`` names a layer that the sites do not have.
        """
        sites = list(sites)
        known = {(site.stack, site.layer) for site in sites}
        if strange := sorted(set(self.layers) - known):
            raise ConfigError(
                f"`layers` must name layers of the base, but names {strange} instead. "
                f"It has {', '.join(f'{stack} {layer}' for stack, layer in sorted(known))}."
            )
        mixes = {}
        for site in sites:
            source, target = self.layers.get((site.stack, site.layer), (self.source, self.target))
            mixes[site] = {Role.SOURCE: source, Role.TARGET: target}
        return mixes
