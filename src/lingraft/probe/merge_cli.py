"""``lingraft probe merge``: how the adapters of a direction lie to each other, and what each way of merging costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from lingraft.atoms import LibraryError
from lingraft.atoms.config import override
from lingraft.direction import Recipe
from lingraft.direction.merge_report import MergeReport, Merging, merge_report
from lingraft.direction.methods import METHODS, Setting
from lingraft.library.console import base_options, counting, library_option, open_library, read_direction
from lingraft.measure.cli import Weights, require_places
from lingraft.measure.results import write_text
from lingraft.probe.merge_picture import merge_svg


@click.command()
@click.argument("pair", metavar="DIRECTION")
@click.argument("words", nargs=-1, metavar="[recipe.source=A recipe.target=B]")
@library_option
@base_options
@click.option("--methods", default=",".join(METHODS), show_default=True, help="Which ways of merging to compare.")
@click.option("--density", type=float, default=None, help="Share of entries that stay.  [default: each method's own]")
@click.option("--rank", type=click.IntRange(1), default=None, help="Largest rank of a result.  [default: in full]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of what is dropped at random.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the figures of every site.")
@click.option("--svg", "svg_path", type=click.Path(path_type=Path), default=None, help="Write heat maps here.")
def merge(
    pair: str,
    words: tuple[str, ...],
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    methods: str,
    density: float | None,
    rank: int | None,
    seed: int,
    as_json: bool,
    svg_path: Path | None,
) -> None:
    """Compare ways of merging a direction's two adapters (e.g. deu_Latn-fra_Latn) with their exact sum."""
    direction, setting = read_direction(pair), Setting(density, rank, seed)
    weights = override(Weights(), words, "recipe") if words else None
    require_places(svg_path)
    library = open_library(path, base_id, device, dtype)
    if missing := [code for code in direction if code not in library.languages()]:
        raise LibraryError(
            f"`{path}` must hold adapters of both languages to compare how they are merged, but has none of "
            f"{' and '.join(missing)}. It has {', '.join(library.languages()) or 'no language'}."
        )
    bank = library.bank(direction)
    recipe = library.recipe if weights is None else Recipe(weights.source, weights.target)
    names = [name for name in methods.replace(",", " ").split() if name]
    places = {site for adapter in bank.values() for site in adapter.updates}
    with counting(len(places), f"merging {direction}") as advance:
        found = merge_report(bank, recipe, direction, names, setting, lambda site: advance(1))
    if svg_path is not None:
        write_text(svg_path, merge_svg(found))
        click.echo(f"wrote {svg_path}", err=True)
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
