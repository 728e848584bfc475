"""What the verb probe subspace does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from lingraft.atoms import LibraryError
from lingraft.library.console import open_library
from lingraft.measure.labels import full_name
from lingraft.measure.output import put, require_places
from lingraft.probe.picture import survival_svg
from lingraft.probe.ranks import suggest
from lingraft.probe.subspace import Survival, survival


def subspace(
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    as_json: bool,
    svg_path: Path | None,
    mean_rank: float | None,
) -> None:
    """Do what `lingraft probe subspace` promises."""
    require_places(None, svg_path)
    found = survival(open_library(path, base_id, device, dtype).bank())
    if not found.cells:
        raise LibraryError(f"`{path}` must hold adapters to look into, but is empty instead. Add a language first.")
    ranks = suggest(found, mean_rank=mean_rank) if found.comparable else {}
    put(svg_path, lambda: survival_svg(found))
    if as_json:
        shown = {"survival": found.to_dict(), "suggested": ranks, "notes": list(found.notes)}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=1))
        return
    Console().print(_table(found, ranks))
    for note in found.notes:
        click.echo(f"note: {note}")


def _table(found: Survival, ranks: Mapping[str, int]) -> Table:
    """Return the shares of each language, in all, per stack and per role, and its ranks."""
    roles = sorted({cell.role.value for cell in found.cells})
    shares = found.shares(lambda cell: (cell.language, "all"))
    shares |= found.shares(lambda cell: (cell.language, cell.site.stack))
    shares |= found.shares(lambda cell: (cell.language, cell.role.value))
    table = Table(
        "language",
        title="Share of B that survives, %",
        title_style="",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("code", no_wrap=True)
    columns = ("all", *found.stacks, *roles)
    for heading in (*columns, "rank", *(["suggested"] if ranks else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for code in found.languages:
        kept = [shares.get((code, column)) for column in columns]
        numbers = ["–" if share is None else f"{100 * share:.1f}" for share in kept]
        last = [str(found.ranks[code]), *([str(ranks[code])] if ranks else [])]
        table.add_row(full_name(code), code, *numbers, *last)
    return table
