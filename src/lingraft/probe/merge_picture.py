"""Heat maps of a merge report: methods × layers, and sites × layers for how the two adapters lie to each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from lingraft.base import FAMILIES
from lingraft.direction.merge_report import MergeReport
from lingraft.measure.labels import full_name
from lingraft.measure.picture import legend, shade, svg, text

_WIDE, _HIGH, _GAP = 50, 28, 2  # a cell, in units of the view box
_SIDE, _TOP, _HEAD, _FOOT, _BETWEEN = 100, 46, 58, 40, 24  # room beside the cells, above the maps, above and below one


class _Map(NamedTuple):
    """One kind of heat map, for all stacks on one scale."""

    title: str
    rows: Mapping[str, Sequence[str]]
    """Stack → names of its rows."""
    values: Mapping[tuple[str, str, int], float]
    """(stack, row, layer) → value."""
    low: float
    high: float
    digits: int


def merge_svg(report: MergeReport, *, standalone: bool = True) -> str:
    """Draw a report: below each other the methods' errors, the cosines and the smallest principal angles.

    Stacks stand side by side; all maps of a line share one colour scale.

    Args:
        report: What was found.
        standalone: Whether the picture will be a file of its own.

    Returns:
        The SVG element; its size in pixels is that of its view box.
    """
    layers = {stack: sorted({s.layer for s in report.sites if s.stack == stack}) for stack in _stacks(report)}
    names = " and ".join(
        f"{full_name(code)} {role}" for code, role in zip(report.direction, ("in", "out"), strict=True)
    )
    title = f"Merging {names}"
    parts, right, y = [text(8, 22, title, size=15, weight=600)], _SIDE + 430.0, float(_TOP)
    for each in (_errors(report), *_geometry(report)):
        x = 0.0
        parts.append(text(_SIDE, y + 12, each.title, size=13, weight=600))
        for stack in layers:
            parts.append(_panel(each, stack, layers[stack], x, y))
            x += _SIDE + len(layers[stack]) * (_WIDE + _GAP) + _BETWEEN
        right = max(right, x - _BETWEEN)
        y += _HEAD + max(map(len, each.rows.values()), default=0) * (_HIGH + _GAP)
        parts.append(legend(_SIDE, y + 6, 200, each.low, each.high))
        y += _FOOT + _BETWEEN
    return svg(right + 8, y, title, parts, standalone)


def _errors(report: MergeReport) -> _Map:
    found = report.together(lambda site: (site.stack, site.layer))
    values = {
        (stack, name, layer): 100 * error
        for (stack, layer), merging in found.items()
        for name, error in merging.errors.items()
    }
    title = "Difference from the exact sum, % (colours end at 100)"
    return _Map(title, dict.fromkeys(_stacks(report), report.methods), values, 0.0, 100.0, 1)


def _geometry(report: MergeReport) -> Iterable[_Map]:
    """Yield the maps of cosines and of the smallest angles."""
    rows = {stack: _site_names(report, stack) for stack in _stacks(report)}
    sites = {(site.stack, site.name, site.layer): merging for site, merging in report.sites.items()}
    cosines = {place: merging.cosine for place, merging in sites.items() if merging.cosine is not None}
    end = max(0.1, math.ceil(10 * max(map(abs, cosines.values()), default=0.0)) / 10)
    yield _Map("Cosine of the two updates", rows, cosines, -end, end, 2)
    columns = {place: merging.columns[0] for place, merging in sites.items() if merging.columns}
    yield _Map("Smallest angle between what they write, °", rows, columns, 0.0, 90.0, 0)
    read = {place: merging.rows[0] for place, merging in sites.items() if merging.rows}
    yield _Map("Smallest angle between what they read, °", rows, read, 0.0, 90.0, 0)


def _stacks(report: MergeReport) -> list[str]:
    return list(dict.fromkeys(site.stack for site in report.sites))


def _site_names(report: MergeReport, stack: str) -> list[str]:
    """Return the names of a stack's sites, in the order of the family that has them."""
    names = {site.name for site in report.sites if site.stack == stack}
    known = (list(each.sites) for family in FAMILIES for each in family.stacks.values())
    order = next((each for each in known if names <= set(each)), sorted(names))
    return [name for name in order if name in names]


def _panel(map_: _Map, stack: str, layers: Sequence[int], x: float, y: float) -> str:
    """Draw the map of one stack with its upper left corner at (x, y)."""
    start, rows = x + _SIDE, map_.rows[stack]
    parts = [text(start, y + 30, stack, size=12, opacity=0.7)]
    for i, layer in enumerate(layers):
        centre = start + i * (_WIDE + _GAP) + _WIDE / 2
        parts.append(text(centre, y + _HEAD - 8, str(layer), size=12, anchor="middle"))
    for j, row in enumerate(rows):
        top = y + _HEAD + j * (_HIGH + _GAP)
        parts.append(text(start - 8, top + 19, row, size=13, anchor="end"))
        for i, layer in enumerate(layers):
            parts.append(_cell(map_, (stack, row, layer), start + i * (_WIDE + _GAP), top))
    return "".join(parts)


def _cell(map_: _Map, place: tuple[str, str, int], x: float, y: float) -> str:
    box = f'x="{x:g}" y="{y:g}" width="{_WIDE}" height="{_HIGH}" rx="3"'
    value = map_.values.get(place)
    if value is None:
        return f'<rect {box} fill="currentColor" opacity="0.07"/>'
    stack, row, layer = place
    fill, ink = shade(value, map_.low, map_.high)
    shown = f"{round(value, map_.digits) + 0.0:.{map_.digits}f}"  # + 0.0: never "-0.00"
    number = text(x + _WIDE / 2, y + 18, shown, size=12, anchor="middle", fill=ink)
    hover = escape(f"{map_.title}: {stack}, layer {layer}, {row}: {value:.4g}")
    return f'<g><title>{hover}</title><rect {box} fill="{fill}"/>{number}</g>'
