"""The logit lens as a picture: heat maps of systems × layers, and lines over the layers for each system."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from lingraft.atoms import ENGLISH
from lingraft.measure.labels import full_name
from lingraft.measure.picture import legend, shade, svg, text
from lingraft.probe.lens_values import Lens, Reading

COLOURS = (
    "#2b74b8",
    "#c26a14",
    "#2e8049",
    "#7d838c",
)  # target, English, source, all others; ≥ 3:1 on white and #14171b
_WIDE, _HIGH, _GAP = 46, 28, 2  # a cell of a heat map, in units of the view box
_TOP, _HEAD, _FOOT = 46, 44, 18  # room above the maps, above a map's cells and below them
_PLOT, _TALL = 200, 110  # a plot of lines
_LEFT, _BELOW = 48, 46  # room for its marks, beside and below
_LETTER = 0.6  # width of a letter in font sizes: a generous guess


class _Plot(NamedTuple):
    """A plot of lines: heights 0 … 1 per language, and marks at the left."""

    title: str
    lines: Mapping[str, Sequence[float]]
    texts: Mapping[str, Sequence[str]]
    """The same values to read."""
    marks: Sequence[tuple[float, str]]


def lens_svg(lens: Lens, *, standalone: bool = True) -> str:
    """Draw what the logit lens found.

    Above, a heat map for each language whose tokens were looked for: mean probability in percent, systems ×
    layers; a frame marks the layer from which on the target's tokens are likelier than the English ones. Below, for
    each system: the mean probabilities, the median ranks, and the languages of the top tokens, over the layers.
    Layer 0 is the embeddings.

    Args:
        lens: What was found.
        standalone: Whether the picture will be a file of its own.

    Returns:
        The SVG element; its size in pixels is that of its view box.
    """
    side = max(90.0, 16 + max(len(reading.name) for reading in lens.systems) * 13 * _LETTER)
    high = _ceiling(lens)
    title = f"Logit lens: {full_name(lens.direction.source)} → {full_name(lens.direction.target)}"
    parts, y = [text(8, 22, title, size=15, weight=600)], float(_TOP)
    for code in lens.languages:
        parts.append(_map(lens, code, high, side, y))
        y += _HEAD + len(lens.systems) * (_HIGH + _GAP) + _FOOT
    parts.append(legend(side, y, 240, 0.0, high))
    width = max(
        side + (lens.layers + 1) * (_WIDE + _GAP),
        side + 3 * (_LEFT + _PLOT),
        side + 240 + 20,
        8 + len(title) * 15 * _LETTER,
    )
    y += 60
    names, x = [*map(full_name, lens.languages), "other, none or unknown"], side
    for name, colour in zip(names, _colours(lens), strict=True):
        parts.append(f'<rect x="{x:g}" y="{y:g}" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(text(x + 18, y + 11, name, size=13))
        x += 36 + len(name) * 13 * _LETTER
    width, y = max(width, x), y + 28
    for number, reading in enumerate(lens.systems):
        parts.append(text(side - 8, y + _TALL / 2 + 24, reading.name, size=13, anchor="end", weight=600))
        for column, plot in enumerate(_plots(lens, reading, high)):
            last = number == len(lens.systems) - 1
            parts.append(_lines(lens, plot, side + _LEFT + column * (_LEFT + _PLOT), y + 24, number == 0, last))
        y += _TALL + _BELOW
    return svg(width + 16, y + 18, title, parts, standalone)


def _ceiling(lens: Lens) -> float:
    """Return the upper end of the scale of probabilities, in percent: the next 1, 2 or 5 times a power of ten."""
    largest = 100 * max(max(curve.probability) for reading in lens.systems for curve in reading.curves.values())
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return min(100.0, next(factor * power for factor in (1, 2, 5, 10) if factor * power >= largest * (1 - 1e-9)))


def _colours(lens: Lens) -> list[str]:
    """Return the colour of each language, and last that of all others; English keeps its own in every picture."""
    source = COLOURS[2]
    own = [COLOURS[0], *(COLOURS[1] if code == ENGLISH else source for code in lens.languages[1:])]
    return [*own, COLOURS[3]]


def _map(lens: Lens, code: str, high: float, x: float, y: float) -> str:
    """Draw the heat map of one language with the upper left corner of its cells below (x, y)."""
    kind = "the target" if code == lens.direction.target else "English" if code == ENGLISH else "the source"
    name = full_name(code)
    parts = [
        text(x, y + 12, f"{name} ({kind}), % by layer" if name != kind else f"{name}, % by layer", size=13, weight=600)
    ]
    parts += [
        text(x + layer * (_WIDE + _GAP) + _WIDE / 2, y + _HEAD - 8, str(layer), size=12, anchor="middle")
        for layer in range(lens.layers + 1)
    ]
    for row, reading in enumerate(lens.systems):
        top = y + _HEAD + row * (_HIGH + _GAP)
        parts.append(text(x - 8, top + 19, reading.name, size=13, anchor="end"))
        curve = reading.curves[code]
        for layer, (probability, rank) in enumerate(zip(curve.probability, curve.rank, strict=True)):
            fill, ink = shade(100 * probability, 0.0, high)
            left = x + layer * (_WIDE + _GAP)
            what = f"{reading.name}, layer {layer}, {name}: {100 * probability:.4g} %, median rank {rank:g}"
            crossed = code == lens.direction.target and layer == reading.crossing
            box = f'x="{left + 3:g}" y="{top + 3:g}" width="{_WIDE - 6}" height="{_HIGH - 6}" rx="2"'  # well inside
            frame = f'<rect {box} fill="none" stroke="{ink}" stroke-width="1.5"/>' if crossed else ""
            parts.append(
                f"<g><title>{escape(what)}</title>"
                f'<rect x="{left:g}" y="{top:g}" width="{_WIDE}" height="{_HIGH}" rx="3" fill="{fill}"/>{frame}'
                + text(left + _WIDE / 2, top + 18, _short(100 * probability), size=12, anchor="middle", fill=ink)
                + "</g>"
            )
    return "".join(parts)


def _short(percent: float) -> str:
    return "0" if percent < 0.005 else f"{percent:.2f}" if percent < 10 else f"{percent:.1f}"


def _plots(lens: Lens, reading: Reading, high: float) -> list[_Plot]:
    """Return the plots of one system."""
    percent = {code: [100 * p for p in curve.probability] for code, curve in reading.curves.items()}
    worst = max(10.0, *(max(curve.rank) for each in lens.systems for curve in each.curves.values()))
    decades = math.ceil(math.log10(worst) - 1e-9)
    ranks = {code: curve.rank for code, curve in reading.curves.items()}
    own = {code: shares for code, shares in reading.top.items() if code in reading.curves}
    rest = [1 - sum(values) for values in zip(*own.values(), strict=True)] if own else [1.0] * (lens.layers + 1)
    shares = {**{code: own.get(code, (0.0,) * (lens.layers + 1)) for code in reading.curves}, "other": rest}
    return [
        _Plot(
            "mean probability, %",
            {code: [p / high for p in values] for code, values in percent.items()},
            {code: [f"{p:.4g} %" for p in values] for code, values in percent.items()},
            [(0, "0"), (0.5, f"{high / 2:g}"), (1, f"{high:g}")],
        ),
        _Plot(
            "median rank",
            {code: [1 - math.log10(max(r, 1.0)) / decades for r in values] for code, values in ranks.items()},
            {code: [f"rank {r:g}" for r in values] for code, values in ranks.items()},
            [(1 - power / decades, f"{10**power:,}") for power in range(decades + 1)],
        ),
        _Plot(
            "language of the top token, %",
            shares,
            {code: [f"{100 * share:.1f} %" for share in values] for code, values in shares.items()},
            [(0, "0"), (0.5, "50"), (1, "100")],
        ),
    ]


def _lines(lens: Lens, plot: _Plot, x: float, y: float, titled: bool, numbered: bool) -> str:
    """Draw one plot with the upper left corner of its field at (x, y)."""
    across = lambda layer: x + (_PLOT - 20) * layer / max(1, lens.layers)
    up = lambda height: y + _TALL * (1 - min(max(height, 0.0), 1.0))
    parts = [text(x, y - 12, plot.title, size=12, weight=600)] if titled else []
    for height, mark in plot.marks:
        end = across(lens.layers)
        parts.append(
            f'<line x1="{x:g}" y1="{up(height):g}" x2="{end:g}" y2="{up(height):g}" stroke="currentColor" '
            'opacity="0.15"/>'
        )
        parts.append(text(x - 8, up(height) + 4, mark, size=11, anchor="end", opacity=0.7))
    step = -(-(lens.layers + 1) // 9)
    parts += [
        text(across(layer), y + _TALL + 16, str(layer), size=11, anchor="middle", opacity=0.7)
        for layer in range(0, lens.layers + 1, step)
    ]
    if numbered:
        parts.append(text(across(lens.layers / 2), y + _TALL + 32, "layer", size=11, anchor="middle", opacity=0.7))
    for (code, heights), colour in zip(plot.lines.items(), _colours(lens), strict=False):
        points = " ".join(f"{across(layer):.1f},{up(height):.1f}" for layer, height in enumerate(heights))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        name = "other" if code == "other" else full_name(code)
        for layer, height in enumerate(heights):
            what = escape(f"{name}, layer {layer}: {plot.texts[code][layer]}")
            parts.append(
                f'<circle cx="{across(layer):.1f}" cy="{up(height):.1f}" r="2.5" fill="{colour}">'
                f"<title>{what}</title></circle>"
            )
    return "".join(parts)
