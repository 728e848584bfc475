"""Directions between many languages on a test file for each pair of them, where no line stands in all languages."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from lingraft.atoms import DataError, Direction
from lingraft.corpus import Pairs
from lingraft.corpus.profile import Identifier
from lingraft.measure.matrix import Progress, Translate, rounded, scored, this_command, versions_used
from lingraft.measure.results import Results
from lingraft.measure.scores import Scorer, bleu_tokenizer

Outputs = Mapping[Direction, Sequence[str]]
"""Translations of each direction, one for each row of the test file of its pair."""


def measure_between(
    translate: Translate,
    tests: Sequence[Pairs],
    identifier: Identifier,
    *,
    via: Literal["base", "direct"] = "direct",
    progress: Progress | None = None,
    fetch_tokenizer: bool = False,
    command: str | None = None,
) -> Results:
    """Translate and score both directions of every test file.

    All directions go through one call of ``translate``, mixed, and the call holds no request twice.

    Args:
        translate: The system.
        tests: The test rows, one value for each pair of languages.
        identifier: Has the profiles of at least the languages of the tests.
        via: What the rows of the results are called, and what ``translate`` is told.
        progress: Told of every step.
        fetch_tokenizer: Whether spBLEU's tokenizer may be fetched from the network.
        command: The command to print beside the numbers; by default that of this process.

    Returns:
        Two rows for each test file, in their order, with the translations (see `outputs_of`).

    Raises:
        DataError: If a pair has two files or no rows, a language has no profile, or a translation is missing.
    """
    sides = _checked(tests, identifier)
    accuracy = identifier.accuracy(_sentences(tests))
    tokenize, note = bleu_tokenizer(fetch=fetch_tokenizer)
    # A dict keeps the order and drops requests that occur twice.
    requests = list(dict.fromkeys((text, where) for where, (texts, _) in sides.items() for text in texts))
    if progress:
        progress(via, len(requests))
    start = time.perf_counter()
    answers = list(translate([text for text, _ in requests], [where for _, where in requests], via))
    translated = time.perf_counter()
    if len(answers) != len(requests) or not all(isinstance(answer, str) for answer in answers):
        raise DataError(
            f"`translate` must return {len(requests)} texts, but returned {len(answers)} values, or some that are "
            "not text. Return one translation per text."
        )
    found = dict(zip(requests, answers, strict=True))
    outputs = {where: tuple(found[text, where] for text in texts) for where, (texts, _) in sides.items()}
    if progress:
        progress("scores", 0)
    rows = tuple(
        scored((where, via), outputs[where], Scorer(references, tokenize=tokenize), identifier)
        for where, (_, references) in sides.items()
    )
    return Results(
        rows=rows,
        languages=tuple(sorted({code for where in sides for code in where})),
        testset=", ".join(pairs.origin for pairs in tests[:2]) + (f" and {len(tests) - 2} more" if tests[2:] else ""),
        identifier={"languages": list(identifier.languages), "accuracy": rounded(accuracy)},
        versions=versions_used(),
        command=this_command() if command is None else command,
        seconds={via: round(translated - start, 1), "scores": round(time.perf_counter() - translated, 1)},
        notes=(note,),
        outputs={(*where, via): texts for where, texts in outputs.items()},
    )


def both(pairs: Pairs) -> tuple[Direction, Direction]:
    """Return the two directions of a pair of languages."""
    return Direction(pairs.a, pairs.b), Direction(pairs.b, pairs.a)


def outputs_of(results: Results) -> dict[Direction, tuple[str, ...]]:
    """Return the translations of results by direction.

    Args:
        results: What `measure_between` returned.

    Returns:
        Direction → one translation per test row.

    Raises:
        DataError: If they are of more than one via.
    """
    found = {Direction(source, target): texts for (source, target, _), texts in results.outputs.items()}
    if len(found) < len(results.outputs):
        raise DataError("`results` must hold one translation per row, but hold those of several vias instead.")
    return found


def _checked(
    tests: Sequence[Pairs], identifier: Identifier
) -> dict[Direction, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return texts and references of every direction; every reason to fail comes here, before translating."""
    if not tests:
        raise DataError("`tests` must hold at least one pair of languages, but is empty instead. Give test files.")
    sides: dict[Direction, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for pairs in tests:
        if not len(pairs):
            raise DataError(f"`tests` must hold rows of every pair, but {pairs.origin} has none. Leave it out.")
        for where in both(pairs):
            if where in sides:
                raise DataError(f"`tests` must hold each pair once, but hold {pairs.a}-{pairs.b} twice. Drop one.")
            sides[where] = pairs.of(where.source), pairs.of(where.target)
    for language in dict.fromkeys(itertools.chain(*sides)):
        if language not in identifier.languages:
            raise DataError(
                f"`identifier` must have a profile of {language}, but has {', '.join(identifier.languages)} instead."
                " Add one (`Profile.train`), or leave the language out."
            )
    return sides


def _sentences(tests: Iterable[Pairs]) -> dict[str, list[str]]:
    """Return the sentences of each language, each once."""
    found: dict[str, dict[str, None]] = {}
    for pairs in tests:
        for language in (pairs.a, pairs.b):
            found.setdefault(language, {}).update(dict.fromkeys(pairs.of(language)))
    return {language: list(lines) for language, lines in found.items()}
