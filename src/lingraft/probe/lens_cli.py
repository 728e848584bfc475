"""What the verb probe lens does."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from lingraft.atoms import ConfigError, Direction, Role
from lingraft.corpus import read_testset
from lingraft.delta import Route
from lingraft.direction import Recipe
from lingraft.library import Library
from lingraft.library.console import counting, open_base, open_library, read_direction
from lingraft.library.mixing import mixing
from lingraft.library.using import router
from lingraft.measure.labels import short_codes
from lingraft.measure.output import STDOUT, print_table, put, require_places
from lingraft.probe.lens import System, logit_lens
from lingraft.probe.lens_picture import lens_svg
from lingraft.probe.lens_values import Lens


def lens(
    word: str,
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    testset: str,
    limit: int | None,
    tuned: str | None,
    batch: int,
    json_path: Path | None,
    svg_path: Path | None,
) -> None:
    """Do what `lingraft probe lens` promises."""
    asked = read_direction(word)
    require_places(json_path, svg_path)
    # All lines are read whatever the limit: the aligner and the vocabulary learn from them.
    lines = read_testset(testset)
    library = open_library(path, base_id, device, dtype)
    systems = library_systems(library, asked)
    if tuned is not None:
        systems["tuned"] = open_base(tuned, device, dtype)
    if len(systems) == 1:
        raise ConfigError(
            f"`{path}` must hold an adapter that takes part in {asked}, but holds none. Add one of its languages."
        )
    count = len(lines.lines.get(asked.target, ())[:limit])
    with counting(count * len(systems), "looking") as advance:
        found = logit_lens(library.base, lines, asked, systems, limit=limit, batch_size=batch, progress=advance)
    put(json_path, found.to_json)
    put(svg_path, lambda: lens_svg(found))
    print_table(_table(found), json_path)
    for note in found.notes:
        click.echo(f"note: {note}", err=json_path == STDOUT)


def library_systems(library: Library, direction: Direction) -> dict[str, System]:
    """Return what a library offers to compare in a direction: base, either adapter alone, both.

    Args:
        library: The library with its base.
        direction: What is translated.

    Returns:
        Name → system; an adapter that isn't there or has no weight is left out, and "both" where one is.
    """
    mix = mixing(library, direction).recipe or library.recipe  # one adapter as it is within both
    single = {role: _acting(router(library, [direction], _only(mix, role))(direction)) for role in Role}
    found: dict[str, System] = {"base": ()}
    found |= {role.value: route for role, route in single.items() if route}
    if all(single.values()):
        found["both"] = router(library, [direction])(direction)
    return found


def _only(recipe: Recipe, role: Role) -> Recipe:
    """Return a recipe with the weights of one role alone."""
    keep = lambda pair: (pair[0], 0.0) if role is Role.SOURCE else (0.0, pair[1])
    source, target = keep((recipe.source, recipe.target))
    layers = {layer: keep(pair) for layer, pair in recipe.layers.items()}
    return Recipe(source, target, layers, {site: keep(pair) for site, pair in recipe.sites.items()})


def _acting(route: Route) -> Route:
    """Return the terms that have a weight somewhere."""
    return tuple(term for term in route if any(weight != 0 for weight in term.weights.values()))


def _table(found: Lens) -> Table:
    """Return the last layer's values, the crossing layer, and the share of top tokens in the target language."""
    names = short_codes(found.languages)
    table = Table(
        title=f"Logit lens, {found.direction}: last of {found.layers} layers",
        title_style="",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("system", no_wrap=True)
    headings = [heading for code in found.languages for heading in (f"{names[code]} %", "rank")]
    for heading in (*headings, "crossing", f"top {names[found.direction.target]} %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for reading in found.systems:
        values = []
        for curve in reading.curves.values():
            values += [f"{100 * curve.probability[-1]:.2f}", f"{curve.rank[-1]:g}"]
        crossing = "–" if reading.crossing is None else str(reading.crossing)
        top = reading.top.get(found.direction.target)
        table.add_row(reading.name, *values, crossing, f"{100 * top[-1]:.1f}" if top else "–")
    return table
