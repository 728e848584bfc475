"""Heat maps of what survived pruning: languages × layers and languages × sites, for each stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape
from typing import NamedTuple

from lingraft.atoms import Role
from lingraft.base import FAMILIES
from lingraft.measure.labels import full_name, short_codes
from lingraft.measure.picture import legend, shade, svg, text
from lingraft.probe.subspace import Cell, Survival

_WIDE, _HIGH, _GAP = 50, 28, 2  # a cell, in units of the view box
_SIDE, _TOP, _HEAD, _FOOT = 82, 46, 46, 16  # room beside the cells, above the maps, above and below a map's cells
_BETWEEN = 24
_ROLES = {frozenset({Role.SOURCE}): "source", frozenset({Role.TARGET}): "target", frozenset(Role): "both"}


class _Map(NamedTuple):
    """One heat map: a share for each (language, column)."""

    title: str
    columns: list[str]
    shares: Mapping[tuple[str, str], float]
    roles: Mapping[str, str]
    """Column → whose updates it counts."""


def survival_svg(survival: Survival, *, standalone: bool = True) -> str:
    """Draw the surviving share of B in percent: for each stack a map by layer and one by site.

    Below each column stands the role whose updates it counts. All maps share one colour scale, from 0
    to the largest share in any cell. The languages that keep most stand at the top.

    Args:
        survival: What survived.
        standalone: Whether the picture will be a file of its own.

    Returns:
        The SVG element; its size in pixels is that of its view box.
    """
    lines = [_maps(survival, stack) for stack in survival.stacks]
    largest = max((share for line in lines for each in line for share in each.shares.values()), default=0.0)
    high = max(10.0, math.ceil(round(10 * largest, 6)) * 10.0)
    title = "Share of B that survives, %"
    parts, right, y = [text(8, 22, title, size=15, weight=600)], float(_SIDE + 250), float(_TOP)
    for line in lines:
        x = 0.0
        for each in line:
            parts.append(_panel(each, survival.languages, high, x, y))
            x += _SIDE + len(each.columns) * (_WIDE + _GAP) + _BETWEEN
        right = max(right, x - _BETWEEN)
        y += _HEAD + len(survival.languages) * (_HIGH + _GAP) + _FOOT + _BETWEEN
    parts.append(legend(_SIDE, y, 240, 0.0, high))
    return svg(right + 8, y + 36, title, parts, standalone)


def _maps(survival: Survival, stack: str) -> list[_Map]:
    """Return the map by layer and the map by site of one stack."""
    part = Survival(tuple(cell for cell in survival.cells if cell.site.stack == stack))
    names = {cell.site.name for cell in part.cells}
    known = (list(each.sites) for family in FAMILIES for each in family.stacks.values())
    order = next((each for each in known if names <= set(each)), sorted(names))
    layers = [str(layer) for layer in sorted({cell.site.layer for cell in part.cells})]
    return [
        _map(part, f"{stack}, by layer", layers, lambda cell: str(cell.site.layer)),
        _map(part, f"{stack}, by site", [name for name in order if name in names], lambda cell: cell.site.name),
    ]


def _map(part: Survival, title: str, columns: list[str], column: Callable[[Cell], str]) -> _Map:
    roles = {each: _ROLES[frozenset(cell.role for cell in part.cells if column(cell) == each)] for each in columns}
    return _Map(title, columns, part.shares(lambda cell: (cell.language, column(cell))), roles)


def _panel(map_: _Map, languages: tuple[str, ...], high: float, x: float, y: float) -> str:
    """Draw one map with its upper left corner at (x, y)."""
    names, start, foot = short_codes(languages), x + _SIDE, y + _HEAD + len(languages) * (_HIGH + _GAP)
    parts = [text(start, y + 12, map_.title, size=13, weight=600)]
    for i, column in enumerate(map_.columns):
        centre = start + i * (_WIDE + _GAP) + _WIDE / 2
        parts.append(text(centre, y + _HEAD - 8, column, size=12, anchor="middle"))
        parts.append(text(centre, foot + 12, map_.roles[column], size=11, anchor="middle", opacity=0.7))
    for j, language in enumerate(languages):
        top, name = y + _HEAD + j * (_HIGH + _GAP), full_name(language)
        parts.append(text(start - 8, top + 19, names[language], size=13, anchor="end", title=name))
        for i, column in enumerate(map_.columns):
            share, what = map_.shares.get((language, column)), f"{name}, {map_.title}: {column}"
            parts.append(_box(start + i * (_WIDE + _GAP), top, share, what, high))
    return "".join(parts)


def _box(x: float, y: float, share: float | None, what: str, high: float) -> str:
    box = f'x="{x:g}" y="{y:g}" width="{_WIDE}" height="{_HIGH}" rx="3"'
    if share is None:
        return f'<rect {box} fill="currentColor" opacity="0.07"/>'
    fill, ink = shade(100 * share, 0.0, high)
    number = text(x + _WIDE / 2, y + 18, f"{100 * share:.1f}", size=12, anchor="middle", fill=ink)
    return f'<g><title>{escape(what)}, {100 * share:.2f} %</title><rect {box} fill="{fill}"/>{number}</g>'
