"""What the verbs measure and demo do."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from lingraft.atoms import ConfigError, DataError, Direction, LanguageError, LibraryError
from lingraft.atoms.config import Settings, override
from lingraft.atoms.languages import name, parse
from lingraft.base import Base
from lingraft.corpus import TestSet, read_testset
from lingraft.direction import Recipe
from lingraft.library import Library
from lingraft.library.console import Bar, Watcher, open_base, open_library
from lingraft.library.mixing import Mixing, named
from lingraft.library.places import LANGUAGES, SCORES_FILE
from lingraft.measure.output import STDOUT, print_table, put, require_places
from lingraft.measure.report import html_report
from lingraft.measure.results import Results
from lingraft.measure.row import VIAS, require_vias
from lingraft.measure.run import LEAST, Step, choose_languages, choose_vias, measure_library, sample
from lingraft.measure.table import table


class Weights(Settings):
    """The weights of the roles in a direction."""

    source: float = 1.0
    """Weight of the source language's input adapter."""
    target: float = 1.0
    """Weight of the target language's output adapter."""

    def recipe(self, base: Base) -> Recipe:
        """Return them as a recipe; refuse what is no sensible weight."""
        made = Recipe(self.source, self.target)
        made.check(base.sites)
        return made


def measure(
    words: tuple[str, ...],
    path: Path,
    base_id: str | None,
    device: str | None,
    dtype: str,
    testset: str,
    languages: str | None,
    limit: int | None,
    vias: str,
    recipe: str | None,
    method: str | None,
    choose: bool,
    beam: int,
    batch: int | None,
    json_path: Path | None,
    html_path: Path | None,
    outputs_path: Path | None,
    fetch: bool,
) -> None:
    """Do what `lingraft measure` promises."""
    weights = override(Weights(), words, "recipe") if words else None
    wanted = [parse(word) for word in languages.replace(",", " ").split()] if languages else None
    if wanted and len(set(wanted)) < len(wanted):
        raise LanguageError(f"`--languages` must name each language once, but is {languages!r} instead.")
    ways = tuple(vias.replace(",", " ").split())
    require_vias(ways)
    if weights and (recipe or method):
        raise ConfigError("`recipe.source=…` must not come with `--recipe` or `--method`, but does. Drop one.")
    if choose and not {"direct", "pivot"} <= set(ways):
        raise ConfigError(f"`--via` must hold direct and pivot for `--choose`, but is {vias!r} instead.")
    if choose and (weights or recipe or method or beam > 1):
        raise ConfigError(
            "`--choose` must be of directions as they are served, but other weights, a `--recipe`, a `--method` or a "
            "`--beam` are given. Drop them; `lingraft search --save` stores other weights."
        )
    require_places(json_path, html_path, outputs_path)
    served = weights is recipe is method is wanted is limit is None and beam == 1 and not choose
    lines = read_testset(testset, wanted, limit)
    if choose and (count := min(map(len, lines.lines.values()))) < LEAST:
        raise DataError(f"`--testset` must have at least {LEAST} lines for `--choose`, but has {count}. Give more.")
    library = open_library(path, base_id, device, dtype)
    notes = seen_notes(library, lines)
    for note in notes:
        click.echo(f"warning: {note}", err=True)
    before = library.places.marks() if served else {}
    made = Mixing(weights.recipe(library.base)) if weights else named(library, recipe) if recipe else None
    with steps() as step:
        results = measure_library(
            library,
            lines,
            choose_languages(library, lines, wanted),
            vias=ways,
            made=made,
            method=method,
            beam=beam,
            batch_size=batch,
            step=step,
            notes=notes,
            keep_outputs=outputs_path is not None,
            fetch_tokenizer=fetch,
        )
    show(results, json_path, html_path, "Translation between all pairs")
    if outputs_path is not None:
        results.write_outputs(outputs_path)
    if served and "direct" in ways:
        keep(results, library, before)
    if choose:
        for direction, via in choose_vias(library, results).items():
            click.echo(f"{direction} is {via} from now on", err=json_path == STDOUT)


def seen_notes(library: Library, testset: TestSet) -> list[str]:
    """Return a sentence for each language whose test lines stood in its training text."""
    return [
        f"{count} of {len(testset.lines[language])} test lines in {name(language)} stood in its training text; "
        "its scores are too good"
        for language, profile in library.profiles().items()
        if language in testset.lines and (count := profile.seen(testset.lines[language]))
    ]


@contextmanager
def steps() -> Iterator[Step]:
    """Yield a function that shows a progress bar for each step of measuring."""
    with Bar() as shown:

        def step(what: str, count: int) -> Callable[[int], None]:
            if not count:  # no translating: over in a moment
                return lambda ready: None
            task = shown.add_task(what, total=count)
            return lambda ready: shown.advance(task, ready)

        yield step


def show(results: Results, json_path: Path | None, html_path: Path | None, title: str) -> None:
    """Print the table, and write the files that were asked for."""
    print_table(table(results), json_path)
    put(json_path, results.to_json)
    put(html_path, lambda: html_report(results, title=title))


def keep(results: Results, library: Library, before: Mapping[str, str]) -> None:
    """Keep the scores in the library, where `lingraft serve` looks for them.

    Where that fails, or the library is another by now, a warning says so, and there are none.

    Args:
        results: The scores of all that is served, as it is served.
        library: The library.
        before: Its `Places.marks` from before the measurement; a language that is new since is none of it.
    """
    place = library.path / SCORES_FILE
    try:
        with library.places.writing(library.patience):
            after = library.places.marks()
            new = {f"{LANGUAGES}/{code}.json" for code in library.languages() if code not in results.languages}
            if changed := sorted(name for name, _ in (before.items() ^ after.items()) if name not in new):
                click.echo(f"warning: {changed[0]} has changed meanwhile, so the library keeps no scores", err=True)
                return
            results.write(place)
    except LibraryError as error:
        click.echo(f"warning: the library can't keep its scores: {error}", err=True)
    else:
        click.echo(f"wrote {place}: the page of `lingraft serve` shows it", err=True)


def demo(out: Path) -> None:
    """Do what `lingraft demo` promises."""
    from lingraft.measure import demonstration

    start = time.monotonic()
    click.echo(demonstration.INTRODUCTION)
    text, lines = demonstration.prepare(out)
    base = open_base("demo", "cpu", "float32")
    command = shlex.join(["lingraft", *sys.argv[1:]])
    with Watcher() as watcher:
        library = demonstration.train(base, out / "library", text, watcher, command)
    with steps() as step:
        results = measure_library(library, lines, tuple(lines.lines), vias=VIAS, step=step)
    show(results, out / "results.json", out / "report.html", "The phrasebook: directions nobody trained")
    pairs = [Direction(a, b) for a, b in demonstration.SAMPLES]
    for pair, said, answer in sample(library, demonstration.sentences(lines), pairs):
        click.echo(f"\n{name(pair.source)} → {name(pair.target)}\n  {said}\n  {answer}")
    click.echo(demonstration.farewell(results, out, time.monotonic() - start))
