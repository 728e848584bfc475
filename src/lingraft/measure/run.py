"""Measure a library: from its adapters to the results of every direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from lingraft.atoms import ENGLISH, DataError, Direction
from lingraft.corpus import TestSet
from lingraft.corpus.profile import Identifier, known_profiles
from lingraft.delta import Route
from lingraft.direction import attach
from lingraft.library import Library
from lingraft.library.mixing import Mixing, mixing, store
from lingraft.library.mixing_file import Via
from lingraft.library.using import router, usual_via
from lingraft.measure.contrast import Contrast
from lingraft.measure.labels import probability
from lingraft.measure.matrix import measure
from lingraft.measure.results import Results
from lingraft.measure.significance import contrasts

Step = Callable[[str, int], Callable[[int], None]]
"""Called with the name of a step and the number of its sentences, or of directions where it compares two systems;
returns what to call as they become ready."""

_COMPARED = ("direct", "pivot")
LEAST = 30
"""Fewest sentences on which two systems are compared: resampling fewer says more than it knows."""


def identifier(library: Library) -> Identifier:
    """Return the identifier of the library's languages and of those that come with the package."""
    return Identifier(known_profiles() | library.profiles())


def choose_languages(library: Library, testset: TestSet, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the languages to measure: those asked for, or all installed ones and English that the test set has.

    Args:
        library: The library.
        testset: The test set.
        wanted: Codes that were asked for, taken as they are; None or empty: all that can be measured.

    Returns:
        At least two codes, in the order asked for; else the installed ones sorted, then English.

    Raises:
        DataError: If fewer than two are asked for, or fewer than two can be measured.
    """
    if wanted and len(wanted) < 2:
        raise DataError(f"`--languages` must name at least two, but names {wanted[0]} alone.")
    there = dict.fromkeys((*library.languages(), ENGLISH))
    chosen = tuple(wanted or (code for code in there if code in testset.lines))
    if len(chosen) < 2:
        raise DataError(
            f"`testset` must hold at least two of {', '.join(there)}, but holds {', '.join(testset.lines)} instead."
        )
    return chosen


def measure_library(
    library: Library,
    testset: TestSet,
    languages: Sequence[str],
    *,
    vias: Sequence[str],
    made: Mixing | None = None,
    method: str | None = None,
    beam: int = 1,
    batch_size: int | None = None,
    step: Step,
    notes: Sequence[str] = (),
    keep_outputs: bool = False,
    fetch_tokenizer: bool = False,
) -> Results:
    """Translate and score all ordered pairs of ``languages`` with a library.

    Args:
        library: The library with its base.
        testset: Line-parallel sentences.
        languages: The codes; the matrix has one row and column for each.
        vias: Which of base, direct, pivot.
        made: How the directions with two adapters are made; None: as the library has stored it. Of one adapter by
            itself, and so of the pivot, it says nothing.
        method: How the adapters are merged where there are two, with each direction's own weights; None: as that says.
        beam: Width of the beam.
        batch_size: Sentences per batch; None: see ``Translator.translate``.
        step: Is told of every step and its progress.
        notes: Sentences that a reader of the results must know.
        keep_outputs: Whether the results keep the translations.
        fetch_tokenizer: Whether spBLEU's tokenizer may be fetched from the network.

    Returns:
        The results.
    """
    everything = [Direction(a, b) for a in (*languages, ENGLISH) for b in languages if a != b]
    mixed = [where for where in everything if all(map(library.places.installed, where))]
    routes = router(library, everything)
    mixes = router(library, mixed, made, method) if method or made else routes
    progress: list[Callable[[int], None]] = []

    def translate(texts: list[str], directions: list[Direction], via: Literal["base", "direct"]) -> list[str]:
        of = lambda where: (mixes if all(map(library.places.installed, where)) else routes)(where)
        with attach(library.base, of if via == "direct" else None) as translator:
            return translator.translate(texts, directions, beam=beam, batch_size=batch_size, progress=progress[-1])

    results = measure(
        translate,
        testset,
        languages,
        identifier(library),
        vias=vias,
        progress=lambda name, count: progress.append(step(name, count)),
        keep_outputs=True,
        fetch_tokenizer=fetch_tokenizer,
    )
    direct, pivot = (_outputs(results, via) for via in _COMPARED)
    few = min(map(len, testset.lines.values())) < LEAST
    compared: tuple[Contrast, ...] = ()
    if not few:
        advance = step("comparing direct and pivot", len(direct.keys() & pivot.keys()))
        compared = contrasts(direct, pivot, testset.lines, _COMPARED, progress=advance)
    if few and direct and pivot:
        notes = (*notes, f"Direct and pivot are not compared: that takes {LEAST} sentences.")
    results = replace(results, contrasts=compared, outputs=results.outputs if keep_outputs else {})
    return results.with_notes(
        f"Base {library.base.id}, fingerprint {library.base.fingerprint[:16]}; adapters act "
        f"{'on their own span' if library.card.scope == 'span' else 'everywhere'}; "
        f"{_weights(library, made, method, mixed)}; {'greedy' if beam == 1 else f'beam {beam}'}.",
        *notes,
    )


def _outputs(results: Results, via: str) -> dict[Direction, tuple[str, ...]]:
    """Return the translations of one via by direction."""
    return {Direction(source, target): texts for (source, target, v), texts in results.outputs.items() if v == via}


def _weights(library: Library, asked: Mixing | None, method: str | None, mixed: Sequence[Direction]) -> str:
    """Return in words how the directions were made."""
    made = asked or Mixing()
    mix = made.recipe or library.recipe
    words = f"weights {mix.source:g} (source) and {mix.target:g} (target)"
    words += " with exceptions" if mix.layers or mix.sites else ""
    words += f", merged by {made.method}" if made.method != "linear" and method is None else ""
    own = [] if asked else [where for where in mixed if mixing(library, where) != Mixing()]
    words += f", but {len(own)} directions as the library has stored" if own else ""
    return words + (f", all merged by {method}" if method else "")


def choose_vias(library: Library, results: Results) -> dict[Direction, Via]:
    """Store for each direction whether it goes at once or through English; the first costs half as much.

    English it is where it was significantly better. A direction for which nothing changes is not stored.

    Args:
        library: The library with its base.
        results: A measurement of both on a dev set; on a test set the choice would spoil what is reported later.

    Returns:
        The directions whose way has changed, with the new one.

    Raises:
        DataError: If the two were not compared: one of them is missing, or there were too few sentences.
        LibraryError: If the library cannot be written.
    """
    if not results.contrasts:
        raise DataError(f"direct and pivot must be measured on {LEAST} sentences or more for a choice between them.")
    changed = {}
    for each in results.contrasts[:-1]:
        direction = Direction(each.source, each.target)
        via: Via = "pivot" if each.verdict == "worse" else "direct"
        if usual_via(library, direction) != via:
            margin = f"{each.difference:+.2f} chrF++, p {probability(each.adjusted)} (Holm), {results.testset}"
            made = mixing(library, direction)
            found = {**made.found, "direct minus pivot": margin}
            store(library, direction, replace(made, via=via, found=found))
            changed[direction] = via
    return changed


def sample(library: Library, texts: Mapping[str, str], pairs: Sequence[Direction]) -> list[tuple[Direction, str, str]]:
    """Translate one text per language in some directions; returns (direction, text, translation)."""
    routes: Callable[[Direction], Route] = router(library, pairs)
    with attach(library.base, routes) as translator:
        done = translator.translate([texts[pair.source] for pair in pairs], list(pairs))
    return [(pair, texts[pair.source], answer) for pair, answer in zip(pairs, done, strict=True)]
