"""Every direction between N languages, translated by the base, directly and through English, scored."""

from __future__ import annotations

import importlib.metadata
import itertools
import platform
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import lingraft
from lingraft.atoms import ENGLISH, DataError, Direction
from lingraft.corpus.profile import Identifier
from lingraft.measure.results import Results
from lingraft.measure.row import VIAS, Row, require_vias
from lingraft.measure.scores import Scorer, bleu_tokenizer

Key = tuple[Direction, str]  # direction, via
Progress = Callable[[str, int], None]
"""Called before each step with its name and the number of sentences that it translates (0: scores)."""


class Translate(Protocol):
    """Translates texts, each in its own direction, in one call."""

    def __call__(self, texts: list[str], directions: list[Direction], via: Literal["base", "direct"]) -> Sequence[str]:
        """Return one translation per text, by the base alone or with the adapters of its direction."""


class LineParallel(Protocol):
    """The same sentences in several languages, line by line (`lingraft.corpus.TestSet` is one)."""

    @property
    def lines(self) -> Mapping[str, Sequence[str]]:
        """Lines per language code."""


def measure(
    translate: Translate,
    testset: LineParallel,
    languages: Sequence[str],
    identifier: Identifier,
    *,
    vias: Sequence[str] = VIAS,
    pivot: str = ENGLISH,
    progress: Progress | None = None,
    fetch_tokenizer: bool = False,
    keep_outputs: bool = False,
    command: str | None = None,
) -> Results:
    """Translate and score all ordered pairs of `languages`.

    Where one side is the pivot language there is no pivot row. Each via is one or two calls of
    `translate` with all directions mixed, and no call holds the same request twice.

    Args:
        translate: The system.
        testset: Line-parallel sentences of all the languages and of the pivot if they are pivoted.
        languages: At least two codes.
        identifier: Has the profiles of at least the languages that are translated into.
        vias: Which of "base", "direct", "pivot" to measure.
        pivot: The language in the middle.
        progress: Told of every step.
        fetch_tokenizer: Whether spBLEU's tokenizer may be fetched from the network.
        keep_outputs: Whether the results keep the translations.
        command: The command to print beside the numbers; by default that of this process.

    Returns:
        The rows with everything needed to judge and repeat them.

    Raises:
        ConfigError: If a via is unknown.
        DataError: If the test set or a profile lacks a language, or a translation is missing.
    """
    lines = _checked(testset.lines, languages, identifier, vias)
    accuracy = identifier.accuracy(lines)
    tokenize, note = bleu_tokenizer(fetch=fetch_tokenizer)
    outputs, seconds = _translate_all(translate, lines, vias, pivot, progress)
    if progress:
        progress("scores", 0)
    start = time.perf_counter()
    scorers = {language: Scorer(texts, tokenize=tokenize) for language, texts in lines.items()}
    rows = tuple(scored(key, texts, scorers[key[0].target], identifier) for key, texts in outputs.items())
    seconds["scores"] = round(time.perf_counter() - start, 1)
    return Results(
        rows=rows,
        languages=tuple(lines),
        pivot=pivot,
        testset=str(getattr(testset, "origin", "")),
        identifier={"languages": list(identifier.languages), "accuracy": rounded(accuracy)},
        versions=versions_used(),
        command=this_command() if command is None else command,
        seconds=seconds,
        notes=(note,),
        outputs={(*d, via): tuple(texts) for (d, via), texts in outputs.items()} if keep_outputs else {},
    )


def _translate_all(
    translate: Translate,
    lines: Mapping[str, Sequence[str]],
    vias: Sequence[str],
    pivot: str,
    progress: Progress | None,
) -> tuple[dict[Key, list[str]], dict[str, float]]:
    """Return the translations of every direction and via, and the seconds of every step."""
    directions = [Direction(a, b) for a, b in itertools.permutations(lines, 2)]
    around = [d for d in directions if pivot not in d]
    outputs: dict[Key, list[str]] = {}
    seconds: dict[str, float] = {}

    def step(
        name: str, texts: Mapping[Direction, Sequence[str]], via: Literal["base", "direct"]
    ) -> dict[Direction, list[str]]:
        # A dict keeps the order and drops requests that occur twice: many pivots share their English.
        requests = list(dict.fromkeys((text, direction) for direction, batch in texts.items() for text in batch))
        if progress:
            progress(name, len(requests))
        start = time.perf_counter()
        answers = list(translate([text for text, _ in requests], [direction for _, direction in requests], via))
        seconds[name] = round(time.perf_counter() - start, 1)
        if len(answers) != len(requests) or not all(isinstance(answer, str) for answer in answers):
            raise DataError(
                f"`translate` must return {len(requests)} texts for {name}, but returned {len(answers)} values,"
                " or some that are not text. Return one translation per text."
            )
        found = dict(zip(requests, answers, strict=True))
        return {direction: [found[text, direction] for text in batch] for direction, batch in texts.items()}

    for via in (via for via in VIAS if via in vias):
        if via == "base":
            done = step("base", {d: lines[d.source] for d in directions}, "base")
        elif via == "direct":
            done = step("direct", {d: lines[d.source] for d in directions}, "direct")
        elif around:
            into = {Direction(source, pivot): lines[source] for source, _ in around}
            known = {d: outputs[d, "direct"] for d in into if (d, "direct") in outputs}
            missing = {d: texts for d, texts in into.items() if d not in known}
            english = known | (step("pivot, first half", missing, "direct") if missing else {})
            done = _out_of_pivot(step, english, around, pivot)
        else:
            continue
        outputs.update({(d, via): texts for d, texts in done.items()})
    return outputs, seconds


def _out_of_pivot(
    step: Callable[..., dict[Direction, list[str]]],
    english: Mapping[Direction, Sequence[str]],
    around: Sequence[Direction],
    pivot: str,
) -> dict[Direction, list[str]]:
    """Translate every source's English into each target: per target one batch over all sources."""
    targets = dict.fromkeys(d.target for d in around)
    sources = {t: [d.source for d in around if d.target == t] for t in targets}
    batches = {
        Direction(pivot, t): [text for source in sources[t] for text in english[Direction(source, pivot)]]
        for t in targets
    }
    done = step("pivot, second half", batches, "direct")
    result = {}
    for target in targets:
        answers = iter(done[Direction(pivot, target)])
        for source in sources[target]:
            count = len(english[Direction(source, pivot)])
            result[Direction(source, target)] = list(itertools.islice(answers, count))
    return {d: result[d] for d in around}


def scored(key: Key, texts: Sequence[str], scorer: Scorer, identifier: Identifier) -> Row:
    """Return the scores of translations in one direction by one via."""
    (source, target), via = key
    chrf, bleu = scorer.score(texts)
    off = 100 * sum(not identifier.accepts(text, target) for text in texts) / len(texts)
    numbers = (round(chrf.value, 4), round(bleu.value, 4), round(off, 4))
    return Row(source, target, via, *numbers, len(texts), chrf.signature, bleu.signature)


def _checked(
    lines: Mapping[str, Sequence[str]], languages: Sequence[str], identifier: Identifier, vias: Sequence[str]
) -> dict[str, list[str]]:
    """Return the lines of `languages`; every reason to fail comes here, before anything is translated."""
    require_vias(vias)
    if len(set(languages)) != len(languages) or len(languages) < 2:
        raise DataError(
            f"`languages` must be at least two different ones, but are {', '.join(languages)} instead. "
            "Name two languages or more."
        )
    for language in languages:
        if language not in lines:
            raise DataError(f"`testset` must hold {language}, but holds {', '.join(lines)} instead. Leave it out.")
        if language not in identifier.languages:
            raise DataError(
                f"`identifier` must have a profile of {language}, but has {', '.join(identifier.languages)} instead."
                " Add one (`Profile.train`), or leave the language out."
            )
    counts = {language: len(lines[language]) for language in languages}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise DataError(f"`testset` must have equally many lines per language, at least one, but has {counts} instead.")
    return {language: list(lines[language]) for language in languages}


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return percentages with two decimals."""
    return {name: round(value, 2) for name, value in values.items()}


def versions_used() -> dict[str, str]:
    """Return the versions of all that decides the numbers."""
    found = {"lingraft": lingraft.__version__, "python": platform.python_version()}
    for package in ("sacrebleu", "torch", "transformers"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def this_command() -> str:
    """Return the command line of this process, without the folder that the program lies in."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
