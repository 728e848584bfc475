"""Which language each layer is indexed by: the paper's answer, and the one that is learned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lingraft.atoms import Site
from lingraft.direction import Recipe

Unit = tuple[str, int] | Site
"""A layer (stack, number), or a single site."""


def paper(sites: Iterable[Site]) -> Recipe:
    """Return what weight learning found in the LSLo paper, at this depth.

    There, in 12 encoder layers, 0–8 are source-indexed and 9–11 target-indexed, as is the whole decoder:
    three quarters of the encoder are the source's. A decoder-only base reads and writes in one stack; its
    lower half is the source's here, which is our choice.
    """
    sites = list(sites)
    reader = "encoder" if any(site.stack == "encoder" for site in sites) else "decoder"
    depth = 1 + max(site.layer for site in sites if site.stack == reader)
    low = round(depth * 0.75) if reader == "encoder" else depth // 2
    return Recipe(0.0, 1.0, {(reader, layer): (1.0, 0.0) for layer in range(low)})


@dataclass(frozen=True)
class Indexing:
    """What weight learning came to: the weight of the source in each unit; the target has the rest."""

    source: Mapping[Unit, float]

    def recipe(self) -> Recipe:
        """Return the recipe that gives each unit to the heavier role; at equal weights to the target."""
        pairs = {unit: (1.0, 0.0) if weight > 0.5 else (0.0, 1.0) for unit, weight in self.source.items()}
        sites: dict[tuple[str, int, str] | Site, tuple[float, float]] = {
            unit: pair for unit, pair in pairs.items() if isinstance(unit, Site)
        }
        layers = {unit: pair for unit, pair in pairs.items() if not isinstance(unit, Site)}
        return Recipe(0.0, 1.0, layers, sites)

    def entropy(self) -> float:
        """Return the mean entropy of the weights in bits: 1 where undecided, 0 where decided."""
        return sum(_bits(weight) + _bits(1 - weight) for weight in self.source.values()) / len(self.source)

    def hardness(self) -> float:
        """Return the mean weight of the heavier role: 0.5 where undecided, 1 where decided."""
        return sum(max(weight, 1 - weight) for weight in self.source.values()) / len(self.source)

    def to_json(self) -> dict[str, Any]:
        """Return the weights and their summary as plain values."""
        return {
            "entropy": self.entropy(),
            "hardness": self.hardness(),
            "source": {".".join(map(str, unit)): weight for unit, weight in self.source.items()},
        }


def _bits(share: float) -> float:
    return 0.0 if share <= 0 else -share * math.log2(share)
