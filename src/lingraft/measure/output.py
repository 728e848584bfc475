"""Where verbs put what people ask for: files, or standard output where the path is ``-``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console, RenderableType

from lingraft.atoms import DataError
from lingraft.measure.results import write_text

STDOUT = Path("-")
"""What stands for standard output; the table that would be there is left out."""


def require_places(json_path: Path | None, *others: Path | None) -> None:
    """Check that files can be written at the end, before hours of measuring.

    Args:
        json_path: The file for JSON, which may be standard output; None where nobody asked for one.
        *others: Other files likewise.

    Raises:
        DataError: If there is no folder for one, or it is a folder itself, or standard output and not for JSON.
    """
    if STDOUT in others:
        raise DataError("`-` must be where JSON goes, but is given for something else. Name a file.")
    for path in (json_path, *others):
        if path is not None and path != STDOUT and (path.is_dir() or not path.parent.is_dir()):
            raise DataError(f"`{path}` must be a file in a folder that exists, but is not. Make the folder first.")


def put(path: Path | None, made: Callable[[], str]) -> None:
    """Write a file that was asked for, and say so; or print it."""
    if path == STDOUT:
        click.echo(made())
    elif path is not None:
        write_text(path, made())
        click.echo(f"wrote {path}", err=True)


def print_table(table: RenderableType, json_path: Path | None) -> None:
    """Print a table, unless standard output is for the JSON."""
    if json_path != STDOUT:
        Console().print(table)
