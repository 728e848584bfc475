"""What the verb search does: with which weights a direction's two adapters translate best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lingraft.atoms import Direction, LanguageError
from lingraft.corpus import read_testset
from lingraft.library import Library
from lingraft.library.console import Bar, open_library, read_direction
from lingraft.library.mixing import store
from lingraft.measure.labels import probability, short_codes
from lingraft.measure.output import STDOUT, print_table, put, require_places
from lingraft.probe.search_found import Found, corrected, to_json
from lingraft.probe.search_run import Wanted, prepare, search_direction, versions
from lingraft.probe.surface import search_svg

SURE = 0.05
"""The p-value below which a gain counts; the others are as good as what is there."""


def search(
    words: tuple[str, ...],
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    testset: str,
    limit: int,
    save: bool,
    json_path: Path | None,
    svg_path: Path | None,
    **how: Any,
) -> None:
    """Do what `lingraft search` promises."""
    wanted = Wanted(**how)
    directions = [read_direction(word) for word in words]
    if len(set(directions)) < len(directions):
        raise LanguageError(f"`DIRECTION...` must name each direction once, but is {' '.join(words)} instead.")
    require_places(json_path, svg_path, wanted.store)
    lines = read_testset(testset, sorted({code for direction in directions for code in direction}), limit)
    library = open_library(path, base_id, device, dtype)
    for direction in directions:  # what is wrong with the last one is said before the first is searched
        prepare(library, direction, lines, wanted)
    found: list[Found] = []
    for direction in directions:
        with Bar() as shown:

            def start(total: int, where: Direction = direction, shown: Any = shown) -> Any:
                task = shown.add_task(str(where), total=total)
                return lambda ready: shown.advance(task, ready)

            found.append(search_direction(library, direction, lines, wanted, start, found))
    found = corrected(found)
    for each in found:
        _save(library, each, lines.origin, save)
    print_table(_table(found), json_path)
    what = "Gains are on the lines that the search did not see, against how the direction was made before."
    click.echo(what, err=json_path == STDOUT)
    put(json_path, lambda: to_json(found))
    put(svg_path, lambda: search_svg(found))


def _save(library: Library, found: Found, testset: str, save: bool) -> None:
    """Store what was found, or say why not."""
    gain = found.gain
    if save and gain.difference > 0 and gain.adjusted < SURE:
        made = found.mixing(testset, versions(library, found.direction))
        click.echo(f"wrote {store(library, found.direction, made)}", err=True)
    elif save:
        click.echo(
            f"{found.direction} stays as it was: a gain of {gain.difference:+.2f} on {gain.lines} unseen lines may be "
            f"chance (p {probability(gain.adjusted)}, and must be below {SURE}). More lines can tell.",
            err=True,
        )


def _table(found: list[Found]) -> Table:
    """Return what came of each direction."""
    table = Table(title="Best recipes", title_style="", box=None, padding=(0, 2, 0, 0))
    names = short_codes(list(dict.fromkeys(code for each in found for code in each.direction)))
    for heading in ("direction", "source, target", "chrF++", "gain (95 %)", "p (Holm)", "off target, %"):
        table.add_column(heading, no_wrap=heading != "source, target")
    for each in found:
        gain, (before, best) = each.gain, each.unseen
        table.add_row(
            " → ".join(names[code] for code in each.direction),
            "; ".join(f"{a:.2f}, {b:.2f}" for a, b in each.space.pairs(each.best.point).values()),
            f"{before.chrf:.1f} → {best.chrf:.1f}",
            f"{gain.difference:+.2f} ({gain.low:+.1f} … {gain.high:+.1f})",
            probability(gain.adjusted),
            f"{before.off_target:.1f} → {best.off_target:.1f}",
        )
    return table
