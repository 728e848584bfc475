"""What the verbs update and rollback do."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click

from lingraft.atoms import ConfigError, LibraryError, Role
from lingraft.atoms.config import override
from lingraft.atoms.languages import name, parse
from lingraft.fit import Modular
from lingraft.library.console import Watcher, open_library, split_words
from lingraft.library.grow import grow
from lingraft.library.plan import Plan, plan
from lingraft.library.store import Library


def update(
    words: tuple[str, ...],
    pairs: str,
    dev: str | None,
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    dry_run: bool,
) -> None:
    """Do what `lingraft update` promises."""
    languages, settings = split_words(words)
    regimes = {language: override(_regime(Library.open(path), language), settings, "fit") for language in languages}
    library = open_library(path, base_id, device, dtype)
    plans: list[Plan] = []
    for regime in dict.fromkeys(regimes.values()):
        chosen = [language for language in languages if regimes[language] == regime]
        plans.append(plan(library.base, chosen, pairs, dev_pattern=dev, regime=regime, library=library))
    for wanted in plans:
        click.echo(wanted.describe(library.base), err=True)
    if dry_run:
        return
    command = shlex.join(["lingraft", *sys.argv[1:]])
    for wanted in plans:
        before = {language: library.pointer(language) for language in wanted.languages}
        with Watcher() as watcher:
            pointers = grow(library.base, path, wanted, reporter=watcher, command=command)
        for language, pointer in pointers.items():
            done = "nothing new for" if pointer == before[language] else "updated"
            click.echo(f"{done} {name(language)} ({language}): source {pointer.source}, target {pointer.target}")


def rollback(language: str, path: Path) -> None:
    """Do what `lingraft rollback` promises."""
    code = parse(language)
    pointer = Library.open(path).rollback(code)
    click.echo(f"rolled back {name(code)} ({code}): source {pointer.source}, target {pointer.target}")


def _regime(library: Library, language: str) -> Modular:
    """Return the settings that the installed adapters of a language were trained with."""
    training = library.manifest(language, Role.SOURCE).record.training
    if training.together:
        raise LibraryError(
            f"`{language}` must have been trained by itself to be updated, but was trained together with "
            f"{', '.join(code for code in training.together if code != language)}. Use `lingraft fit-joint`."
        )
    try:
        return Modular.model_validate_json(json.dumps(training.settings))
    except ValueError as error:
        raise ConfigError(
            f"the settings of {language} must be those of this version, but are not: {error}. "
            "Use `lingraft add` with the settings that you want."
        ) from None
