"""The verbs that measure."""

from __future__ import annotations

from pathlib import Path

import click

from lingraft.verbs.options import (
    A_PATH,
    WEIGHTS,
    base_options,
    decoding_options,
    does,
    json_file,
    library_option,
    mixing_options,
)


@click.command()
@click.argument("words", nargs=-1, metavar=WEIGHTS)
@library_option
@base_options
@click.option("--testset", required=True, help="Line-parallel files, e.g. 'DIR/test.{lang}.txt.gz'.")
@click.option("--languages", default=None, help="Codes with commas.  [default: all installed ones and English]")
@click.option("--limit", type=click.IntRange(1), default=None, help="Use the first N lines only.")
@click.option("--via", "vias", default="base,direct,pivot", show_default=True, help="What to measure.")
@mixing_options
@click.option(
    "--choose", is_flag=True, help="Store for each direction the better of direct and pivot. Only with a dev set."
)
@decoding_options
@json_file("the results")
@click.option("--html", "html_path", type=A_PATH, default=None, help="Write a report here.")
@click.option("--outputs", "outputs_path", type=A_PATH, default=None, help="Write translations here.")
@click.option("--fetch", is_flag=True, help="Fetch spBLEU's tokenizer if it isn't on the disk.")
@does("lingraft.measure.cli:measure")
def measure() -> None:
    """Score every direction between the library's languages, beside the base alone and the pivot.

    Where all languages and lines are measured as the library is served, it keeps the scores, and the page shows them
    until an adapter or a recipe in the library is replaced.
    """


@click.command()
@click.option("--out", type=A_PATH, default=Path("demo-out"), show_default=True, help="Folder for everything.")
@does("lingraft.measure.cli:demo")
def demo() -> None:
    """Add Esperanto, Interlingua and Ido to a small base from English pairs, and measure what nobody trained."""
