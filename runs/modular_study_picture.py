"""Line plots of runs/modular_study_report.py, in the style of the other pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from lingraft.measure.picture import VIA_COLOURS, svg, text

COLOURS = (*VIA_COLOURS.values(), "#7a4fb0")
_LEFT, _TOP, _WIDTH, _HEIGHT = 52, 66, 430, 230  # of the plot's field, in units of the view box

Series = Mapping[str, Sequence[tuple[float, float]]]


def lines_svg(title: str, across: str, series: Series, *, doubling: bool = False) -> str:
    """Draw some lines over one axis, with chrF++ upwards.

    Args:
        title: What stands above.
        across: What stands below the axis.
        series: Name → points (x, chrF++), x rising.
        doubling: Whether equal steps of the axis double x.

    Returns:
        The SVG, a file of its own.
    """
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    low, high = math.floor(min(ys) / 5) * 5, math.ceil(max(ys) / 5) * 5
    high = max(high, low + 5)
    scaled = math.log2 if doubling else float
    first, last = scaled(xs[0]), scaled(xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        along = (scaled(x) - first) / (last - first) if last > first else 0.5
        return _LEFT + along * _WIDTH, _TOP + _HEIGHT * (high - y) / (high - low)

    parts = [text(8, 22, title, size=15, weight=600)]
    step = 5 if high - low <= 30 else 10
    for value in range(low, high + 1, step):
        _, y = place(xs[0], value)
        line = f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + _WIDTH}" y2="{y:.1f}" stroke="currentColor" '
        parts += [line + 'opacity="0.15"/>', text(_LEFT - 8, y + 4, f"{value}", size=12, anchor="end")]
    for x in xs:
        parts.append(text(place(x, low)[0], _TOP + _HEIGHT + 18, f"{x:,g}", size=12, anchor="middle"))
    parts.append(text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 38, across, size=12, anchor="middle", opacity=0.7))
    parts.append(text(8, _TOP - 10, "chrF++", size=12, opacity=0.7))
    at = float(_LEFT)
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        parts.append(f'<rect x="{at:g}" y="34" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(text(at + 18, 45, name, size=13))
        at += 40 + 7.2 * len(name)
        places = [place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (value, score) in zip(places, points, strict=True):
            hover = f"<title>{escape(name)}, {value:,g}: {score:.2f}</title>"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">{hover}</circle>')
    return svg(_LEFT + _WIDTH + 30, _TOP + _HEIGHT + 50, title, parts, standalone=True)
