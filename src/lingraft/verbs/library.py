"""The verbs that work on a library."""

from __future__ import annotations

import click

from lingraft.verbs.options import (
    A_PATH,
    base_options,
    decoding_options,
    does,
    dry_run_option,
    json_flag,
    library_option,
    machine_options,
    mixing_options,
    text_options,
)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="LANGUAGE... [fit.KEY=VALUE]...")
@text_options
@click.option(
    "--like",
    multiple=True,
    metavar="[LANGUAGE=]RELATIVE",
    help="For a language that an encoder–decoder has no token for: the one to start from, e.g. ita_Latn.",
)
@library_option
@base_options
@dry_run_option
@click.option("--tensorboard", type=A_PATH, default=None, help="Folder for TensorBoard logs.")
@does("lingraft.library.cli:add")
def add() -> None:
    """Train adapters for languages from text paired with English, and add them to a library.

    Settings are given as fit.epochs=3, fit.rank=16, and so on. Run the same command again after an
    interruption, and it goes on where it was.
    """


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="LANGUAGE... [fit.KEY=VALUE]...")
@text_options
@library_option
@base_options
@dry_run_option
@does("lingraft.library.cli_versions:update")
def update() -> None:
    """Train newer adapters of languages that are in a library, with the settings of the installed ones.

    Settings can be changed as with `add`: fit.epochs=3, and so on. The installed adapters stay in the history, and
    `lingraft rollback` goes back to them.
    """


@click.command()
@click.argument("config", type=A_PATH)
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@machine_options
@dry_run_option
@does("lingraft.library.cli_joint:fit_joint")
def fit_joint() -> None:
    """Train all languages of a library together (LSLo), as a YAML file says.

    The file names base, library, pairs and languages, and the settings under fit; any of them can be
    changed on the command line, e.g. fit.epochs=5. With fit.learn=layer the indexing is learned, and
    written as a recipe for the next run: fit.indexing=FILE. Run the same command again after an
    interruption, and it goes on where it was.
    """


@click.command("list")
@library_option
@json_flag
@does("lingraft.library.cli:list_")
def list_() -> None:
    """List the languages of a library."""


@click.command()
@click.argument("language")
@library_option
@does("lingraft.library.cli:show")
def show() -> None:
    """Show what is known of a language's adapters, as JSON."""


@click.command()
@click.option("--from", "source", required=True, help="Language of the text: a code or a name.")
@click.option("--to", "target", required=True, help="Language to translate into.")
@library_option
@base_options
@mixing_options
@click.option(
    "--via",
    type=click.Choice(["auto", "direct", "pivot"]),
    default="auto",
    show_default=True,
    help="At once, through English, or as the library has stored it.",
)
@decoding_options
@does("lingraft.library.cli:translate")
def translate() -> None:
    """Translate lines from standard input to standard output, one for one."""


@click.command()
@click.argument("what", metavar="DIRECTION|ADAPTER")
@library_option
@base_options
@click.option("--to", "folder", type=A_PATH, required=True, help="New folder to write to.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["peft", "merged", "ctranslate2"]),
    default=None,
    help="An adapter for PEFT, a whole merged model, or one for CTranslate2.  [default: peft]",
)
@click.option("--merged", is_flag=True, help="The same as --format merged.")
@click.option("--recipe", default=None, help="How to mix: a YAML file, or a name in the library.  [default: as stored]")
@click.option(
    "--quantization",
    type=click.Choice(
        ["float32", "bfloat16", "float16", "int16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"]
    ),
    default=None,
    help="Weights of a CTranslate2 model.",
)
@does("lingraft.library.cli_export:export")
def export() -> None:
    """Write a direction (e.g. deu_Latn-fra_Latn) for other programs.

    An adapter (e.g. deu_Latn.source) is written as the PEFT folder that it is, or would be if it were not packed.
    """


@click.command()
@click.argument("language")
@library_option
@does("lingraft.library.cli_versions:rollback")
def rollback() -> None:
    """Go back to the adapters that a language had before; the present ones are kept as the oldest.

    A service that runs goes on with what it has until it is told to install the language again.
    """


@click.command()
@click.argument("language")
@library_option
@does("lingraft.library.cli:remove")
def remove() -> None:
    """Remove a language from a library; all others stay as they are.

    A service that runs goes on with the adapters that it has in memory. When it looks for others of the language on
    disk, it takes it out of what it serves. To end it at once, first send it DELETE /admin/languages/CODE.
    """


@click.command()
@library_option
@base_options
@does("lingraft.library.cli:doctor")
def doctor() -> None:
    """Check every file of a library, and say what this machine offers."""
