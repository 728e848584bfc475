"""What the verbs share: options that several of them have, and how a verb finds what it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from importlib import import_module
from pathlib import Path
from typing import Any

import click

A_PATH = click.Path(path_type=Path)
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Does:
    """What a verb does: a function elsewhere, imported when it is called, so that ``--help`` imports nothing heavy."""

    def __init__(self, where: str, verb: Callable[[], None]) -> None:
        """Take name and help from ``verb``; ``where`` is the module and the function, with a colon between them."""
        self.where = where
        update_wrapper(self, verb)

    def function(self) -> Callable[..., None]:
        """Import and return the function."""
        module, name = self.where.split(":")
        found: Callable[..., None] = getattr(import_module(module), name)
        return found

    def __call__(self, **given: Any) -> None:
        """Do it; what is given are the verb's parameters by name."""
        self.function()(**given)


def does(where: str) -> Callable[[Callable[[], None]], Does]:
    """Return a decorator by which a verb does what the function ``module:name`` does."""
    return lambda verb: Does(where, verb)


def _all(*options: Decorator) -> Decorator:
    """Return a decorator that adds options, in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


library_option = click.option("--library", "path", type=A_PATH, required=True, help="Folder of the library.")
machine_options = _all(
    click.option("--device", default=None, help="cpu, cuda, …  [default: cuda where there is one]"),
    click.option("--dtype", type=click.Choice(["float32", "bfloat16", "auto"]), default="float32", show_default=True),
)
base_options = _all(
    click.option("--base", "base_id", default=None, help="demo, a folder, or a hub id.  [default: the library's]"),
    machine_options,
)
text_options = _all(
    click.option(
        "--pairs",
        required=True,
        help="Text paired with English, e.g. 'DIR/{a}-{b}.tsv.gz'; codes in alphabetical order.",
    ),
    click.option("--dev", default=None, help="Dev text, as --pairs.  [default: some rows of the training text]"),
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
mixing_options = _all(
    click.option(
        "--recipe",
        default=None,
        metavar="FILE|NAME",
        help="A recipe's file, one stored in the library, or `library`: its own.  [default: as stored]",
    ),
    click.option("--method", default=None, help="How to merge the adapters, e.g. ties.  [default: the recipe's]"),
)
decoding_options = _all(
    click.option(
        "--beam", type=click.IntRange(1), default=1, show_default=True, help="Width of the beam; 1 is greedy."
    ),
    click.option(
        "--batch", type=click.IntRange(1), help="Sentences per batch.  [default: what memory allows, 64 to 256]"
    ),
)
json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
WEIGHTS = "[recipe.source=A recipe.target=B]"


def json_file(what: str) -> Decorator:
    """Return ``--json``, a file for some values, or - for standard output."""
    help = f"Write {what} here; - prints them, and no table."
    return click.option("--json", "json_path", type=A_PATH, default=None, help=help)


def svg_file(what: str) -> Decorator:
    """Return ``--svg``, a file for pictures."""
    return click.option("--svg", "svg_path", type=A_PATH, default=None, help=f"Write {what} here.")
