"""What the verb probe merge does: how a direction's adapters lie to each other, and what each way of merging costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from lingraft.atoms import ConfigError, LibraryError
from lingraft.atoms.config import override
from lingraft.direction.merge_report import MergeReport, Merging, merge_report
from lingraft.direction.methods import METHODS, Setting, method
from lingraft.library.console import counting, open_library, read_direction
from lingraft.measure.cli import Weights
from lingraft.measure.output import put, require_places
from lingraft.probe.merge_picture import merge_svg


def merge(
    word: str,
    words: tuple[str, ...],
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    methods: str | None,
    density: float | None,
    rank: int | None,
    seed: int,
    as_json: bool,
    svg_path: Path | None,
) -> None:
    """Do what `lingraft probe merge` promises."""
    direction, setting = read_direction(word), Setting(density, rank, seed)
    weights = override(Weights(), words, "recipe") if words else None
    names = list(METHODS) if methods is None else methods.replace(",", " ").split()
    if not names:
        raise ConfigError(f"`--methods` must name some of {', '.join(METHODS)}, but is {methods!r} instead.")
    for each in names:
        method(each)  # raises where it is none
    require_places(None, svg_path)
    library = open_library(path, base_id, device, dtype)
    if missing := [code for code in direction if code not in library.languages()]:
        raise LibraryError(
            f"`{path}` must hold adapters of both languages to compare how they are merged, but has none of "
            f"{' and '.join(missing)}. It has {', '.join(library.languages()) or 'no language'}."
        )
    bank = library.bank(direction)
    recipe = library.recipe if weights is None else weights.recipe(library.base)
    places = {site for adapter in bank.values() for site in adapter.updates}
    with counting(len(places), f"merging {direction}") as advance:
        found = merge_report(bank, recipe, direction, names, setting, lambda site: advance(1))
    put(svg_path, lambda: merge_svg(found))
    if as_json:
        click.echo(found.to_json(), nl=False)
        return
    for table in (_geometry(found), _errors(found)):
        Console().print(table)
    for name in found.methods:
        click.echo(f"{name}: {METHODS[name].what} ({METHODS[name].paper})")
    for note in found.notes:
        click.echo(f"note: {note}")


def _geometry(found: MergeReport) -> Table:
    """Return norms, cosines and angles by layer."""
    table = _table(f"{found.direction}: how the two adapters lie to each other")
    for heading in ("‖in‖", "‖out‖", "cosine", "write, least °", "mean", "read, least °", "mean"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, each in _layers(found):
        cosine = "–" if each.cosine is None else f"{round(each.cosine, 3) + 0.0:.3f}"
        angles = [f"{value:.1f}" for space in (each.columns, each.rows) for value in _least_and_mean(space)]
        table.add_row(name, *(f"{norm:.3f}" for norm in each.norms), cosine, *(angles or ["–"] * 4))
    return table


def _errors(found: MergeReport) -> Table:
    """Return the relative errors by layer, and what limiting the rank lost."""
    table = _table("Difference from the exact sum, % of its norm")
    for name in found.methods:
        table.add_column(name, justify="right", no_wrap=True)
    for layer, each in _layers(found):
        shown = [each.errors.get(name) for name in found.methods]
        table.add_row(layer, *("–" if error is None else f"{100 * error:.1f}" for error in shown))
    for _, each in list(_layers(found))[-1:]:
        if any(each.lost.values()):
            lost = [each.lost.get(name) for name in found.methods]
            table.add_row("energy lost", *("–" if share is None else f"{100 * share:.1f}" for share in lost))
    return table


def _layers(found: MergeReport) -> Iterator[tuple[str, Merging]]:
    """Yield the figures of each layer and of all."""
    yield from found.together(lambda site: f"{site.stack}.{site.layer}").items()
    yield from found.together(lambda site: "all").items()


def _least_and_mean(values: tuple[float, ...]) -> tuple[float, ...]:
    return (values[0], sum(values) / len(values)) if values else ()


def _table(title: str) -> Table:
    table = Table(title=title, title_style="", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("layer", no_wrap=True)
    return table
