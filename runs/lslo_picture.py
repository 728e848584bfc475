"""The picture of a learned indexing: how much of each layer is the source's, beside the paper's choice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lingraft.atoms import Role, Site
from lingraft.fit.indexing import paper
from lingraft.measure.picture import VIA_COLOURS, svg, text

COLOURS = {"source": VIA_COLOURS["direct"], "target": VIA_COLOURS["pivot"]}
_LEFT, _LENGTH, _THICK, _ROW, _TOP = 90, 300, 16, 22, 84  # in units of the view box


def in_order(layers: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return layers with their weights in network order: the encoder's first."""
    return sorted(layers.items(), key=lambda item: (not item[0].startswith("encoder"), int(item[0].split(".")[1])))


def paper_of(layers: Iterable[str]) -> dict[str, str]:
    """Return which role the paper's indexing gives each layer ("encoder.0"), at this depth."""
    places = {layer: layer.split(".") for layer in layers}
    sites = {layer: Site(stack, int(number), "q") for layer, (stack, number) in places.items()}
    recipe = paper(sites.values())
    return {layer: "source" if recipe.weight(site, Role.SOURCE) else "target" for layer, site in sites.items()}


def indexing_svg(found: Mapping[str, Any]) -> str:
    """Draw a bar for each layer, divided between source and target.

    Args:
        found: What `Indexing.to_json` gave, with a weight for each layer.

    Returns:
        The SVG, a file of its own.
    """
    summary = f"mean entropy {found['entropy']:.3f} bits, mean hardness {found['hardness']:.3f}"
    parts = [text(8, 22, "Learned indexing", size=15, weight=600), text(8, 42, summary, size=12, opacity=0.7)]
    for number, (role, colour) in enumerate(COLOURS.items()):
        x = _LEFT + number * 90
        parts.append(f'<rect x="{x}" y="56" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(text(x + 18, 67, role, size=13))
    end = _LEFT + _LENGTH
    parts += [text(end + 12, 67, "source", size=12), text(end + 62, 67, "entropy", size=12)]
    parts.append(text(end + 116, 67, "paper", size=12))
    theirs, y = paper_of(found["source"]), float(_TOP)
    stack = "encoder"
    for layer, weight in in_order(found["source"]):
        if layer.split(".")[0] != stack:
            stack, y = layer.split(".")[0], y + 10
        wide = _LENGTH * weight
        bars = (("source", _LEFT, wide), ("target", _LEFT + wide, _LENGTH - wide))
        parts += [
            f'<rect x="{x:.1f}" y="{y:g}" width="{part:.1f}" height="{_THICK}" fill="{COLOURS[role]}"/>'
            for role, x, part in bars
        ]
        line = y + _THICK - 3
        parts.append(text(_LEFT - 8, line, layer.replace(".", " "), size=13, anchor="end"))
        parts.append(text(end + 12, line, f"{weight:.2f}", size=12))
        parts.append(text(end + 62, line, f"{_bits(weight):.2f}", size=12))
        parts.append(text(end + 116, line, theirs[layer], size=12))
        y += _ROW
    middle = _LEFT + _LENGTH / 2
    parts.append(
        f'<line x1="{middle:g}" y1="{_TOP - 6}" x2="{middle:g}" y2="{y - 2:g}" stroke="currentColor" '
        'stroke-width="1" stroke-dasharray="3 3"/>'
    )
    return svg(end + 170, y + 12, f"Learned indexing, {summary}", parts, standalone=True)


def _bits(share: float) -> float:
    """Return the entropy of a weight and its rest, in bits."""
    return -sum(part * math.log2(part) for part in (share, 1 - share) if part > 0)
