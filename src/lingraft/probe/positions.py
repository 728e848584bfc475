"""Where the logit lens looks: the beginnings of words, with the token that each language would put there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lingraft.atoms import ENGLISH, DataError, Direction
from lingraft.base import Base, Encoded
from lingraft.corpus import TestSet
from lingraft.corpus.ngrams import words
from lingraft.corpus.profile import NO_LANGUAGE, UNKNOWN
from lingraft.probe.align import align


class Position(NamedTuple):
    """A place where a word of the reference begins."""

    row: int
    """Which sentence."""
    place: int
    """Which token of the answer, from 0."""
    tokens: tuple[int, ...]
    """The first token of this word in each of the languages of `Places.languages`, all different."""


@dataclass(frozen=True)
class Places:
    """What the logit lens reads in one direction.

    Attributes:
        languages: The target language, English, and the source language, each once.
        rows: The encoded sentences with their references.
        positions: Where to look, in the order of the rows.
        skipped: Sentences left out, since they are longer than the base's context.
    """

    languages: tuple[str, ...]
    rows: tuple[Encoded, ...]
    positions: tuple[Position, ...]
    skipped: int


class _Word(NamedTuple):
    start: int
    """Its first token's place among those of the sentence."""
    token: int
    plain: str
    """In lower case, without punctuation; "" where nothing is left."""


def places(base: Base, testset: TestSet, direction: Direction, limit: int | None = None) -> Places:
    """Find where to look.

    A position is the first token of a word of the reference that has a counterpart in English and in the
    source sentence: the word that it is aligned with (`lingraft.probe.align`, trained on the whole test
    set), and of that the first token, as it is tokenised within its own sentence as an answer. Words are what stands
    between spaces. A word counts only if it and its counterparts all begin their sentences or none does (a first
    token differs by its capital and its space), and if all their first tokens differ.

    Args:
        base: Its tokenizer and format.
        testset: Sentences in the direction's languages and in English.
        direction: What is translated.
        limit: Look at the first sentences only; the aligner reads all.

    Returns:
        The positions.

    Raises:
        DataError: If the test set lacks a language, or no position is left.
    """
    languages = tuple(dict.fromkeys((direction.target, ENGLISH, direction.source)))
    if missing := [code for code in languages if code not in testset.lines]:
        raise DataError(
            f"`testset` must hold {', '.join(languages)}, but {testset.origin} lacks {', '.join(missing)}. "
            "The logit lens compares the same sentence in these languages."
        )
    count = len(testset.lines[direction.target][:limit])
    rows = base.format.encode(
        direction, testset.lines[direction.source][:count], testset.lines[direction.target][:count]
    )
    found = {code: _sentences(base, direction, testset.lines[code]) for code in languages}
    plain = {code: [[word.plain for word in line] for line in found[code]] for code in languages}
    links = [align(plain[direction.target], plain[code]) for code in languages[1:]]
    kept: list[Encoded] = []
    positions: list[Position] = []
    for number, row in enumerate(rows):
        if base.room(row) < 0:
            continue
        lines = [found[code][number] for code in languages]
        positions += [
            Position(len(kept), lines[0][linked[0]].start, tokens)
            for linked in _linked(len(lines[0]), [link[number] for link in links])
            if len(set(tokens := tuple(line[at].token for line, at in zip(lines, linked, strict=True)))) == len(lines)
        ]
        kept.append(row)
    if not positions:
        raise DataError(
            f"`testset` must hold words of {direction} with counterparts that begin with other tokens, but "
            f"{testset.origin} holds none. Take more or other sentences."
        )
    return Places(languages, tuple(kept), tuple(positions), count - len(kept))


def _linked(count: int, links: Sequence[Mapping[int, int]]) -> list[tuple[int, ...]]:
    """Return the places of each word and its counterparts, where it has all, and all or none begin a sentence."""
    found = [(at, *(link[at] for link in links)) for at in range(count) if all(at in link for link in links)]
    return [each for each in found if len({at == 0 for at in each}) == 1]


def _sentences(base: Base, direction: Direction, texts: Sequence[str]) -> list[list[_Word]]:
    """Return the words of each text, tokenised as an answer."""
    # Answers only: what they answer does not matter, nor that the text may be in another language.
    return [
        _words(base, row.answer, text.split())
        for row, text in zip(base.format.encode(direction, [""] * len(texts), texts), texts, strict=True)
    ]


def _words(base: Base, answer: Sequence[int], split: Sequence[str]) -> list[_Word]:
    """Return the words of an answer; none where the tokens give other words back than the text has.

    A word begins with the first token with which the decoded text has one more word. This asks nothing of
    the tokenizer: not how it marks a space, nor where in the text a token stands. A word whose space is a token
    of its own has no plain form: at the space every language wants the same, and after it none a token with a space.
    """
    starts: list[int] = []
    for place in range(len(answer)):
        text = base.format.decode(answer[: place + 1])
        starts += [place] * (len(text.split()) - len(starts))
    if len(starts) != len(split):
        return []
    parted = [at > 0 and not base.format.decode([answer[at - 1]]) for at in starts]
    return [
        _Word(at, answer[at], "" if apart else " ".join(words(word)))
        for at, word, apart in zip(starts, split, parted, strict=True)
    ]


class Vocabulary:
    """Which languages a token belongs to, by how often it stands in the same text in each of them.

    The texts say the same, so their counts compare as they are. A token of several languages belongs to
    each in part; one that stands in no text is of unknown language (`UNKNOWN`), one without letters of none
    (`NO_LANGUAGE`).
    """

    def __init__(self, base: Base, testset: TestSet, direction: Direction) -> None:
        """Count the tokens.

        Args:
            base: Its tokenizer and format.
            testset: The same sentences in several languages.
            direction: The one whose answers look like the ones to judge.
        """
        self._base = base
        self._counts: dict[str, Counter[int]] = {}
        for code, lines in testset.lines.items():
            rows = base.format.encode(direction, [""] * len(lines), lines)
            self._counts[code] = Counter(token for row in rows for token in row.answer)
        self.languages = (*self._counts, NO_LANGUAGE, UNKNOWN)

    def shares(self, tokens: Sequence[int]) -> dict[str, float]:
        """Return the share of each of ``languages`` in some tokens; they sum to 1."""
        found: dict[str, float] = dict.fromkeys(self.languages, 0.0)
        for token, times in Counter(tokens).items():
            for code, share in self._owners(token).items():
                found[code] += share * times / len(tokens)
        return found

    def _owners(self, token: int) -> dict[str, float]:
        if not words(self._base.format.decode([token]).replace("\ufffd", "x")):  # a part of a letter is a letter
            return {NO_LANGUAGE: 1.0}
        counts = {code: counter[token] for code, counter in self._counts.items() if counter[token]}
        whole = sum(counts.values())
        return {code: count / whole for code, count in counts.items()} if counts else {UNKNOWN: 1.0}
