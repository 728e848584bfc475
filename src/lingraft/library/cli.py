"""What the verbs add, list, show, translate, remove and doctor do."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lingraft.atoms import ENGLISH, ConfigError, Direction, LanguageError, LibraryError, LingraftError, Role
from lingraft.atoms.config import override
from lingraft.atoms.languages import name, parse
from lingraft.direction import attach
from lingraft.fit import Modular, Reporter, Several, TensorBoard
from lingraft.fit.parallel import team
from lingraft.library.check import check
from lingraft.library.console import (
    Watcher,
    counting,
    open_base,
    open_library,
    read_lines,
    split_words,
)
from lingraft.library.grow import grow, require_scope
from lingraft.library.like import borrow, read_like
from lingraft.library.manifest import Pointer
from lingraft.library.mixing import Mixing, chosen, mixing
from lingraft.library.plan import plan
from lingraft.library.store import Library
from lingraft.library.using import router, steps, usual_via

PORTION = 4096
"""Lines that `translate` has ready before it prints them: what is printed stays if it is stopped."""


def add(
    words: tuple[str, ...],
    pairs: str,
    dev: str | None,
    like: tuple[str, ...],
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    dry_run: bool,
    tensorboard: Path | None,
) -> None:
    """Do what `lingraft add` promises."""
    languages, settings = split_words(words)
    regime = override(Modular(), settings, "fit")
    there = (path / "library.json").is_file()
    known = Library.open(path) if there else None
    base = open_base(base_id or (known.card.base.id if known else "demo"), device, dtype)
    library = Library.open(path, base) if known else None
    if library:
        require_scope(library, regime)
        base = library.base
    base = borrow(base, read_like(like, languages), languages)
    wanted = plan(base, languages, pairs, dev_pattern=dev, regime=regime, library=library)
    if team().lead:
        click.echo(wanted.describe(base), err=True)
    if dry_run:
        return
    command = shlex.join(["lingraft", *sys.argv[1:]])
    before = {} if library is None else _pointers(library, languages)
    with Watcher() as watcher:
        reporters: list[Reporter] = [watcher, *([TensorBoard(tensorboard)] if tensorboard else [])]
        pointers = grow(base, path, wanted, reporter=Several(*reporters), command=command)
    for language, pointer in pointers.items():
        done = "nothing new for" if pointer == before.get(language) else "added"
        click.echo(f"{done} {name(language)} ({language}): source {pointer.source}, target {pointer.target}")


def _pointers(library: Library, languages: Sequence[str]) -> dict[str, Pointer]:
    """Return the pointers of those languages that are installed; damaged ones are about to be mended."""
    found = {}
    for language in languages:
        with contextlib.suppress(LibraryError):
            found[language] = library.pointer(language)
    return found


def list_(path: Path, as_json: bool) -> None:
    """Do what `lingraft list` promises."""
    library = Library.open(path)
    rows: list[dict[str, Any]] = []
    for language in library.languages():
        try:
            pointer, manifest = library.pointer(language), library.manifest(language, Role.SOURCE)
        except LingraftError as error:  # the others can be used all the same
            click.echo(f"warning: {language} is damaged, and left out: {error}", err=True)
            continue
        rows.append(
            {
                "language": language,
                "name": name(language),
                "source": pointer.source,
                "target": pointer.target,
                "rank": manifest.rank,
                "scope": library.card.scope,
                "pairs": sum(source.pairs for source in manifest.record.data),
            }
        )
    if as_json:
        click.echo(json.dumps({"base": library.card.base.id, "languages": rows}, indent=2, ensure_ascii=False))
        return
    table = Table("language", "code", "source", "target", "rank", "acts", "pairs", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        acts = "on its span" if row["scope"] == "span" else "everywhere"
        versions = row["source"][:8], row["target"][:8]
        table.add_row(row["name"], row["language"], *versions, str(row["rank"]), acts, str(row["pairs"]))
    sides = len({*(row["language"] for row in rows), ENGLISH})
    click.echo(f"{len(rows)} languages on {library.card.base.id}, {sides * (sides - 1)} directions with English")
    _print(table)


def show(language: str, path: Path) -> None:
    """Do what `lingraft show` promises."""
    library = Library.open(path)
    code = parse(language)
    shown = {role.value: library.manifest(code, role).model_dump(mode="json") for role in Role}
    pointer = library.pointer(code).model_dump(mode="json")
    click.echo(json.dumps({"name": name(code), "installed": pointer, **shown}, indent=2, ensure_ascii=False))


def translate(
    source: str,
    target: str,
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    recipe: str | None,
    method: str | None,
    via: str,
    beam: int,
    batch: int | None,
) -> None:
    """Do what `lingraft translate` promises."""
    direction = Direction(parse(source), parse(target))
    if direction.source == direction.target:
        raise LanguageError(f"`--from` and `--to` must be two languages, but both are {name(direction.source)}.")
    library = open_library(path, base_id, device, dtype)
    asked = chosen(library, recipe, method, direction)
    made = asked or mixing(library, direction)
    both = all(map(library.places.installed, direction))
    usual = usual_via(library, direction)
    auto = usual if asked is None else asked.via or ("direct" if both else usual)
    way = steps(direction, auto if via == "auto" else via)
    if method and (len(way) > 1 or not both):
        how = "goes through English" if len(way) > 1 else "has one adapter"
        raise ConfigError(
            f"`--method` must be of a direction that two adapters make together, but {direction} {how}. Drop it."
        )
    if made != Mixing() and recipe and len(way) > 1 and not (via == "auto" and made.via):  # else the recipe says so
        raise ConfigError(
            f"`--recipe` must be of a direction that is translated directly, but {direction} goes through English. "
            "Drop it, or add --via direct."
        )
    # Each adapter by itself is as it was trained: what was asked for is about the two together.
    routes = router(library, way, made if len(way) == 1 else None)
    if sys.stdin.isatty():
        click.echo("Type what to translate, line by line; Ctrl-D on an empty line ends it.", err=True)
    lines = read_lines(sys.stdin.buffer.read())
    with attach(library.base, routes) as translator, counting(len(lines) * len(way), str(direction)) as advance:
        for start in range(0, len(lines), PORTION):
            texts = lines[start : start + PORTION]
            for step in way:
                texts = translator.translate(texts, step, beam=beam, batch_size=batch, progress=advance)
            click.echo("\n".join(texts))


def remove(language: str, path: Path) -> None:
    """Do what `lingraft remove` promises."""
    code = parse(language)
    Library.open(path).remove(code)
    click.echo(f"removed {name(code)} ({code})")


def doctor(path: Path, base_id: str | None, device: str | None, dtype: str) -> None:
    """Do what `lingraft doctor` promises."""
    import torch
    import transformers

    from lingraft.delta.kernels import describe

    click.echo(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {torch.get_num_threads()} threads, "
        f"{'CUDA' if torch.cuda.is_available() else 'no CUDA'}"
    )
    for kernel, when in describe().items():
        click.echo(f"kernel {kernel}: {when}")
    library = Library.open(path)
    base = open_base(base_id or library.card.base.id, device, dtype)
    click.echo(f"base {base.id}, fingerprint {base.fingerprint[:16]}")
    findings = check(library, base)
    for finding in findings:
        click.echo(f"{'error' if finding.severe else 'note'}  {finding.place}  {finding.code}: {finding.message}")
    severe = sum(finding.severe for finding in findings)
    click.echo(f"{len(library.languages())} languages checked, {severe} errors")
    if severe:
        sys.exit(1)


def _print(table: Table) -> None:
    from rich.console import Console

    Console().print(table)
