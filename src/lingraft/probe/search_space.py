"""What a search may change: named numbers, and the recipe that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from lingraft.atoms import ConfigError, Site
from lingraft.direction import Recipe
from lingraft.direction.recipe import Sites

Over = Literal["ratio", "pair", "layers"]
Layer = tuple[str, int]
Point = Mapping[str, float]
"""Name of a number → its value."""
HIGH = 2.0
"""The largest weight that is tried; 1 is that with which an adapter was trained."""


@dataclass(frozen=True)
class Space:
    """Over ``ratio`` one number λ gives (1 − λ, λ); over ``pair`` and ``layers`` each unit has its own (a, b)."""

    over: Over
    units: Mapping[str, tuple[Layer, ...]]
    """Name → the layers that have one pair of weights; one unit unless over ``layers``."""
    sites: Sites = field(default_factory=dict)
    """The weights of single sites, which stay as they are."""

    @classmethod
    def of(cls, sites: Iterable[Site], over: Over, groups: int = 3, kept: Sites | None = None) -> Space:
        """Return the space over the layers of some sites.

        Args:
            sites: The base's.
            over: What kind of space.
            groups: Over ``layers``, into how many groups of neighbours each stack is cut; 0: each layer is its own.
            kept: Weights of single sites that no candidate changes.

        Returns:
            The space.

        Raises:
            ConfigError: If ``groups`` is negative.
        """
        if groups < 0:
            raise ConfigError(f"`groups` must be 0 or more, but is {groups} instead.")
        layers = sorted({(site.stack, site.layer) for site in sites})
        if over != "layers":
            return cls(over, {"all": tuple(layers)}, kept or {})
        units: dict[str, tuple[Layer, ...]] = {}
        for stack in sorted({stack for stack, _ in layers}):
            own = [layer for layer in layers if layer[0] == stack]
            count = min(groups or len(own), len(own))
            for i in range(count):
                part = own[i * len(own) // count : (i + 1) * len(own) // count]
                first, last = part[0][1], part[-1][1]
                units[f"{stack}.{first}" if first == last else f"{stack}.{first}-{last}"] = tuple(part)
        return cls(over, units, kept or {})

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The lowest and highest value of each number."""
        if self.over == "ratio":
            return {"ratio": (0.0, 1.0)}
        return {f"{unit} {side}": (0.0, HIGH) for unit in self.units for side in ("source", "target")}

    def pairs(self, point: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return (a, b) of each unit; the numbers may be tensors."""
        if self.over == "ratio":
            weight = point["ratio"]
            return dict.fromkeys(self.units, (1.0 - weight, weight))
        return {unit: (point[f"{unit} source"], point[f"{unit} target"]) for unit in self.units}

    def recipe(self, point: Point) -> Recipe:
        """Return the recipe that a point stands for."""
        pairs = {unit: (float(a), float(b)) for unit, (a, b) in self.pairs(point).items()}
        if self.over != "layers":
            return Recipe(*pairs["all"], sites=self.sites)
        layers = {layer: pairs[unit] for unit, layers in self.units.items() for layer in layers}
        return Recipe(layers=layers, sites=self.sites)

    def point(self, recipe: Recipe) -> dict[str, float]:
        """Return the point nearest to a recipe: the mean over the layers of each unit, within the bounds."""
        found: dict[str, float] = {}
        for unit, layers in self.units.items():
            pairs = [recipe.layers.get(layer, (recipe.source, recipe.target)) for layer in layers]
            a, b = (sum(pair[i] for pair in pairs) / len(pairs) for i in (0, 1))
            if self.over == "ratio":
                return {"ratio": min(max(b / (a + b) if a + b else 0.5, 0.0), 1.0)}
            found |= {f"{unit} {side}": min(max(w, 0.0), HIGH) for side, w in (("source", a), ("target", b))}
        return found

    def grid(self, count: int) -> list[dict[str, float]]:
        """Return a regular grid of at most ``count`` points, ends included.

        Args:
            count: The most points.

        Returns:
            The points.

        Raises:
            ConfigError: If that is fewer than two for each number.
        """
        bounds = self.bounds
        side = 1
        while (side + 1) ** len(bounds) <= count:
            side += 1
        if side < 2:
            raise ConfigError(
                f"`trials` must be at least {2 ** len(bounds)} for a grid over {len(bounds)} numbers, but is {count} "
                "instead. Use another sampler."
            )
        axes = [[low + (high - low) * i / (side - 1) for i in range(side)] for low, high in bounds.values()]
        return [dict(zip(bounds, values, strict=True)) for values in product(*axes)]
