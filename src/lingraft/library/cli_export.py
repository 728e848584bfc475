"""What the verb export does."""

from __future__ import annotations

from pathlib import Path

import click

from lingraft.atoms import AdapterName, ConfigError, Direction, LanguageError, Role
from lingraft.atoms.languages import parse
from lingraft.library.console import open_library
from lingraft.library.ctranslate import export_ctranslate2
from lingraft.library.export import export_adapter, export_direction
from lingraft.library.mixing import named


def export(
    what: str,
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    folder: Path,
    form: str | None,
    merged: bool,
    recipe: str | None,
    quantization: str | None,
) -> None:
    """Do what `lingraft export` promises."""
    asked, form = _read(what), _form(form, merged, quantization)
    if isinstance(asked, AdapterName):
        for flag, given in (("--merged" if merged else f"--format {form}", form != "peft"), ("--recipe", recipe)):
            if given:
                raise ConfigError(f"`{flag}` must come with a direction, but {what} is an adapter. Leave it out.")
    library = open_library(path, base_id, device, dtype)
    made = None if recipe is None else named(library, recipe)
    if isinstance(asked, AdapterName):
        warning = export_adapter(library, asked, folder)
    elif form == "ctranslate2":
        warning = export_ctranslate2(library, asked, folder, quantization=quantization, made=made)
    else:
        warning = export_direction(library, asked, folder, merged=form == "merged", made=made)
    if warning:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"wrote {folder}")


def _read(what: str) -> AdapterName | Direction:
    """Return the adapter or the direction that a word names."""
    codes, (language, dot, role) = what.split("-"), what.rpartition(".")
    if dot and role in list(Role):
        return AdapterName(parse(language), Role(role))
    if len(codes) != 2:
        raise LanguageError(
            "`direction` must be two codes with a hyphen, e.g. deu_Latn-fra_Latn, or an adapter, e.g. deu_Latn.source, "
            f"but is {what!r}."
        )
    return Direction(parse(codes[0]), parse(codes[1]))


def _form(form: str | None, merged: bool, quantization: str | None) -> str:
    """Return the format, of which ``--merged`` is another name."""
    if merged and form not in (None, "merged"):
        raise ConfigError(f"`--merged` must be left out with --format {form}, but is given. Choose one of them.")
    form = form or ("merged" if merged else "peft")
    if quantization is not None and form != "ctranslate2":
        raise ConfigError(
            f"`--quantization` must come with --format ctranslate2, but the format is {form}. Leave it out, or set "
            "--dtype for the weights of a merged model."
        )
    return form
