"""Split long text into sentences and put the translations together again; nothing is cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import sentencex

from lingraft.atoms.languages import iso639

LONGEST = 400
"""Characters past which a sentence is split at spaces, since bases have learned from shorter ones."""

_WITHOUT_SPACES = frozenset({"Hani", "Hans", "Hant", "Jpan", "Khmr", "Laoo", "Mymr", "Thai"})
"""Scripts in which sentences of one line need nothing between them."""
_WORD = re.compile(r"[^\W\u2e80-\uffff]$")
"""Ends within a word of a script that has spaces between words; it was cut there."""


@dataclass(frozen=True)
class Pieces:
    """A text as an alternation of sentences and what stands between them.

    ``parts`` holds (text, is_sentence); joined in order they give the text back, character by character.
    """

    parts: tuple[tuple[str, bool], ...]

    def sentences(self) -> Iterator[tuple[int, str]]:
        """Yield (position, sentence) of what is to be translated."""
        return ((i, part) for i, (part, is_sentence) in enumerate(self.parts) if is_sentence)


def split(text: str, language: str, fits: Callable[[str], bool] = lambda sentence: True) -> Pieces:
    """Split ``text`` at line ends and sentence ends, and what is still too long at spaces.

    A sentence ends where the rules of its language and the English ones agree: each know abbreviations that the other
    does not ("am 30. Mai", "M. Dupont"), and half a sentence is worse to translate than two together.

    Args:
        text: Any text; line ends, blank lines and spaces between sentences are kept as they are.
        language: Its code (``xxx_Yyyy``).
        fits: Says whether a sentence is short enough, besides being of at most ``LONGEST`` characters.

    Returns:
        The pieces.
    """
    parts: list[tuple[str, bool]] = []
    for line in re.split(r"(\r\n|\r|\n)", text):
        if not line.strip():
            parts.append((line, False))
            continue
        for sentence in _sentences(line, language):
            for chunk in _chunks(sentence, fits):
                core = chunk.strip()
                start = chunk.index(core)
                parts.append((chunk[:start], False))
                parts.append((core, bool(core)))
                parts.append((chunk[start + len(core) :], False))
    return Pieces(tuple(part for part in parts if part[0]))


def _sentences(line: str, language: str) -> list[str]:
    """Return a line in the parts that two sets of rules agree on; joined they are the line."""
    rules = {"en", iso639(language)}  # sentencex knows languages by two letters, and takes others for English
    ends = set.intersection(*(set(accumulate(map(len, sentencex.segment(each, line)))) for each in rules))
    return [line[start:end] for start, end in pairwise(sorted({0, *ends}))]


def join(pieces: Pieces, translations: Mapping[int, str], target: str) -> str:
    """Put translated sentences back between what stood around them.

    Args:
        pieces: The text.
        translations: Position → translation, of every sentence.
        target: The code of the language that they are in. Where two sentences touch, as they do in Chinese, and its
            script has spaces, one comes between them; where it has none, the spaces between two go. The parts of a word
            without end are put together as they were.

    Returns:
        The translated text.
    """
    spaced = target.rpartition("_")[2] not in _WITHOUT_SPACES
    whole = [False, *(is_sentence for _, is_sentence in pieces.parts), False]  # a border on either side
    found = []
    for i, ((part, is_sentence), before, after) in enumerate(zip(pieces.parts, whole, whole[2:], strict=False)):
        if is_sentence:
            if before and spaced and not _WORD.search(pieces.parts[i - 1][0]):
                found.append(" ")
            found.append(translations[i])
        elif spaced or part.strip(" ") or not (before and after):
            found.append(part)
    return "".join(found)


def _chunks(sentence: str, fits: Callable[[str], bool]) -> Iterator[str]:
    """Yield ``sentence`` whole, or cut where it is too long: at the last space before ``LONGEST``, or in the middle."""
    while len(sentence) > LONGEST:
        cut = sentence.rfind(" ", 1, LONGEST) + 1 or LONGEST
        yield from _chunks(sentence[:cut], fits)
        sentence = sentence[cut:]
    middle = len(sentence) // 2
    if not middle or fits(sentence):
        yield sentence
        return
    cut = sentence.rfind(" ", 1, middle) + 1 or middle
    yield from _chunks(sentence[:cut], fits)
    yield from _chunks(sentence[cut:], fits)
