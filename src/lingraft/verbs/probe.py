"""The verbs that look inside a library, and search it for better weights."""

from __future__ import annotations

import click

from lingraft.verbs.options import (
    A_PATH,
    WEIGHTS,
    base_options,
    does,
    json_file,
    json_flag,
    library_option,
    svg_file,
)


@click.group()
def probe() -> None:
    """Look inside a trained library."""


@probe.command()
@library_option
@base_options
@json_flag
@svg_file("heat maps")
@click.option(
    "--mean-rank", type=click.FloatRange(1), default=None, help="Mean of the suggested ranks.  [default: as it is]"
)
@does("lingraft.probe.cli:subspace")
def subspace() -> None:
    """Show how much of each language's adapters survived pruning, and suggest ranks.

    Meant for a library that was pruned across languages with equal ranks: there, a language keeps what
    it needs. The suggested ranks cost as many parameters as the mean rank would.
    """


@probe.command()
@click.argument("word", metavar="DIRECTION")
@library_option
@base_options
@click.option("--testset", required=True, help="Line-parallel files with English, e.g. 'DIR/dev.{lang}.txt.gz'.")
@click.option("--limit", type=click.IntRange(1), default=None, help="Look at the first N lines only.")
@click.option("--tuned", default=None, help="A fully tuned copy of the base, to set beside it: a folder or hub id.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Sentences per batch.")
@json_file("the values")
@svg_file("heat maps and plots")
@does("lingraft.probe.lens_cli:lens")
def lens() -> None:
    """Show in which layer a translation (e.g. deu_Latn-fra_Latn) turns from English into the target language.

    For every layer of the decoder: how likely the right token is, its English counterpart, and the source
    language's, for the base alone, with either adapter, and with both.
    """


@probe.command()
@click.argument("word", metavar="DIRECTION")
@click.argument("words", nargs=-1, metavar=WEIGHTS)
@library_option
@base_options
@click.option("--methods", default=None, help="Which ways of merging to compare, with commas.  [default: all]")
@click.option("--density", type=float, default=None, help="Share of entries that stay.  [default: each method's own]")
@click.option("--rank", type=click.IntRange(1), default=None, help="Largest rank of a result.  [default: in full]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of what is dropped at random.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the figures of every site.")
@svg_file("heat maps")
@does("lingraft.probe.merge_cli:merge")
def merge() -> None:
    """Compare ways of merging a direction's two adapters (e.g. deu_Latn-fra_Latn) with their exact sum."""


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="DIRECTION...")
@library_option
@base_options
@click.option("--testset", required=True, help="Line-parallel dev files, e.g. 'DIR/dev.{lang}.txt.gz'.")
@click.option("--limit", type=click.IntRange(90), default=300, show_default=True, help="Use the first N lines.")
@click.option("--sampler", type=click.Choice(["gp", "tpe", "grid", "gradient"]), default="gp", show_default=True)
@click.option("--trials", type=click.IntRange(1), default=30, show_default=True, help="Candidates, or epochs.")
@click.option("--over", type=click.Choice(["ratio", "pair", "layers"]), default="pair", show_default=True)
@click.option(
    "--groups", type=click.IntRange(0), default=3, show_default=True, help="Groups of layers; 0: every layer."
)
@click.option("--objective", type=click.Choice(["chrf", "loss"]), default="chrf", show_default=True)
@click.option("--method", default=None, help="How to merge the adapters, e.g. ties.  [default: as stored]")
@click.option("--together", type=click.IntRange(1), default=5, show_default=True, help="Candidates scored together.")
@click.option("--batch", type=click.IntRange(1), default=128, show_default=True, help="Sentences per batch.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--store", type=A_PATH, default=None, help="Keeps the trials.  [default: the library]")
@click.option("--save", is_flag=True, help="Store what was found in the library, where unseen lines surely gain by it.")
@json_file("the trials")
@svg_file("pictures")
@does("lingraft.probe.search_cli:search")
def search() -> None:
    """Search the weights of directions (e.g. deu_Latn-fra_Latn) on dev sentences.

    A third of the sentences is kept from the search, and says what was gained. Run the same command again
    after an interruption, and it goes on where it was; with more trials, it adds to those that are there. Learning by
    gradient takes moments, and begins anew.
    """
