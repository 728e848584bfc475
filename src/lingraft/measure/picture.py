"""Pictures of results as SVG: a heat map of the matrix, and bars per direction.

Inline, text takes the colour of the page; as a file of its own (`standalone`), a picture follows the
reader's light or dark theme, as in a README.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from lingraft.measure.labels import VIA_TITLES, full_name, short_codes
from lingraft.measure.results import Results
from lingraft.measure.row import Row

VIA_COLOURS = {"direct": "#2b74b8", "pivot": "#c26a14", "base": "#7d838c"}  # ≥ 3:1 on white and on #14171b
SCALE = ((245, 240, 225), (196, 222, 190), (114, 187, 178), (45, 131, 160), (29, 66, 115))  # low … high
_CELL, _GAP, _HEAD, _TOP = 64, 3, 76, 60  # of the heat map, in units of its view box
_THEME = (
    "<style>svg{color:#1c1f24;font-family:system-ui,sans-serif}"
    "@media(prefers-color-scheme:dark){svg{color:#e6e8eb}}</style>"
)


def heatmap_svg(results: Results, via: str = "direct", *, standalone: bool = True) -> str:
    """Draw the N×N matrix of chrF++ for one via, with the numbers inside and a legend below.

    All vias of the same results share one colour scale, so that their maps can be compared.

    Args:
        results: What was measured.
        via: "base", "direct" or "pivot".
        standalone: Whether the picture will be a file of its own.

    Returns:
        The SVG element; its size in pixels is that of its view box.
    """
    languages, names = results.languages, short_codes(results.languages)
    low, high = scale_ends(results)
    side = len(languages) * (_CELL + _GAP)
    width, height = _HEAD + max(side, 240), _TOP + side + 50
    parts = [
        text(_HEAD, 18, f"{VIA_TITLES[via]}: chrF++", size=15, weight=600),
        text(_HEAD - 8, _TOP - 12, "from ↓ to →", size=11, anchor="end", opacity=0.7),
    ]
    for i, source in enumerate(languages):
        centre = i * (_CELL + _GAP) + _CELL / 2
        parts.append(text(_HEAD - 8, _TOP + centre + 5, names[source], size=14, anchor="end", title=full_name(source)))
        parts.append(text(_HEAD + centre, _TOP - 12, names[source], size=14, anchor="middle", title=full_name(source)))
        for j, target in enumerate(languages):
            x, y = _HEAD + j * (_CELL + _GAP), _TOP + i * (_CELL + _GAP)
            parts.append(_cell(x, y, results.row(source, target, via), low, high))
    parts.append(legend(_HEAD, _TOP + side + 12, min(side, 300), low, high))
    return svg(width, height, f"Heat map of chrF++, {VIA_TITLES[via]}", parts, standalone)


def bars_svg(results: Results, directions: Sequence[tuple[str, str]], *, standalone: bool = True) -> str:
    """Draw one group of horizontal bars (direct, pivot, base) per direction.

    Args:
        results: What was measured.
        directions: Which directions, from top to bottom.
        standalone: Whether the picture will be a file of its own.

    Returns:
        The SVG element.
    """
    vias = [via for via in VIA_COLOURS if via in results.vias]
    names = short_codes(results.languages)
    thick, left, length = 15, 86, 300
    group = len(vias) * thick + 12
    high = scale_ends(results)[1]
    parts = []
    for number, via in enumerate(vias):
        x = left + number * 90
        parts.append(f'<rect x="{x}" y="8" width="12" height="12" rx="2" fill="{VIA_COLOURS[via]}"/>')
        parts.append(text(x + 18, 19, VIA_TITLES[via], size=13))
    for index, (source, target) in enumerate(directions):
        y = 36 + index * group
        middle = y + len(vias) * thick / 2 + 4
        title = f"{full_name(source)} → {full_name(target)}"
        parts.append(text(left - 8, middle, f"{names[source]} → {names[target]}", size=13, anchor="end", title=title))
        for number, via in enumerate(vias):
            row = results.row(source, target, via)
            if row is None:
                continue
            top, wide = y + number * thick, max(1.0, length * row.chrf / high)
            parts.append(
                f'<rect x="{left}" y="{top}" width="{wide:.1f}" height="{thick - 2}" rx="2" '
                f'fill="{VIA_COLOURS[via]}"><title>{escape(describe(row))}</title></rect>'
            )
            parts.append(text(left + wide + 5, top + thick - 4, f"{row.chrf:.1f}", size=12))
    return svg(left + length + 40, 40 + len(directions) * group, "chrF++ per direction", parts, standalone)


def scale_ends(results: Results) -> tuple[float, float]:
    """Return the ends of the colour scale: the tens around all chrF++ of the results."""
    values = [row.chrf for row in results.rows] or [0.0]
    low = math.floor(min(values) / 10) * 10
    return float(low), float(max(math.ceil(max(values) / 10) * 10, low + 10))


def shade(value: float, low: float, high: float) -> tuple[str, str]:
    """Return the colour of a value and black or white, whichever is easier to read on it (≥ 4.5:1)."""
    place = min(max((value - low) / (high - low), 0.0), 1.0) * (len(SCALE) - 1)
    below = min(int(place), len(SCALE) - 2)
    part = place - below
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(SCALE[below], SCALE[below + 1], strict=True))
    light = luminance(red, green, blue)
    ink = "#000" if (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) else "#fff"
    return f"#{red:02x}{green:02x}{blue:02x}", ink


def luminance(red: int, green: int, blue: int) -> float:
    """Return the relative luminance of an sRGB colour, 0 … 1 (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red / 255, green / 255, blue / 255)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def describe(row: Row) -> str:
    """Return one row as a sentence, for hovering."""
    return (
        f"{full_name(row.source)} → {full_name(row.target)}, {VIA_TITLES[row.via].lower()}: chrF++ {row.chrf:.2f}, "
        f"BLEU {row.bleu:.2f}, off target {row.off_target:.1f} %, {row.lines} lines"
    )


def _cell(x: float, y: float, row: Row | None, low: float, high: float) -> str:
    box = f'x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" rx="4"'
    if row is None:
        return f'<rect {box} fill="currentColor" opacity="0.07"/>'
    fill, ink = shade(row.chrf, low, high)
    number = text(x + _CELL / 2, y + _CELL / 2 + 6, f"{row.chrf:.1f}", size=17, anchor="middle", fill=ink)
    return f'<g><title>{escape(describe(row))}</title><rect {box} fill="{fill}"/>{number}</g>'


def legend(x: float, y: float, width: float, low: float, high: float) -> str:
    """Return the scale of colours from ``low`` to ``high``, at (x, y) and ``width`` wide."""
    steps = 20
    wide = width / steps
    boxes = [
        f'<rect x="{x + i * wide:.2f}" y="{y}" width="{wide + 0.6:.2f}" height="10" '
        f'fill="{shade(low + (high - low) * (i + 0.5) / steps, low, high)[0]}"/>'
        for i in range(steps)
    ]
    marks = [(x, low, "start"), (x + width / 2, (low + high) / 2, "middle"), (x + width, high, "end")]
    return "".join(boxes + [text(at, y + 26, f"{value:g}", size=12, anchor=end) for at, value, end in marks])


def text(
    x: float,
    y: float,
    text: str,
    *,
    size: int,
    anchor: str = "start",
    weight: int = 400,
    fill: str = "currentColor",
    opacity: float = 1.0,
    title: str = "",
) -> str:
    """Return a text at (x, y), escaped; ``title`` is shown when the pointer rests on it."""
    hover = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{fill}" opacity="{opacity:g}">{escape(text)}{hover}</text>'
    )


def svg(width: float, height: float, label: str, parts: Sequence[str], standalone: bool) -> str:
    """Return a picture of some parts: a file of its own, or one to stand in a page."""
    size = f'width="{width:g}" height="{height:g}" ' if standalone else f'style="max-width:{width:g}px" '
    theme = _THEME if standalone else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" {size}role="img" '
        f'aria-label="{escape(label)}">{theme}{"".join(parts)}</svg>'
    )
