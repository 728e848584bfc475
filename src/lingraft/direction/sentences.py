"""Split long text into sentences and put the translations together again; nothing is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sentencex

LONGEST = 400  # characters: past that a "sentence" is split at spaces, so that a base's window is never overrun


@dataclass(frozen=True)
class Pieces:
    """A text as an alternation of sentences and what stands between them.

    ``parts`` holds (text, is_sentence); joined in order they give the text back, character by character.
    """

    parts: tuple[tuple[str, bool], ...]

    def sentences(self) -> Iterator[tuple[int, str]]:
        """Yield (position, sentence) of what is to be translated."""
        return ((i, part) for i, (part, is_sentence) in enumerate(self.parts) if is_sentence)


def split(text: str, language: str) -> Pieces:
    """Split ``text`` at line ends and sentence ends.

    Args:
        text: Any text; line ends, blank lines and spaces between sentences are kept as they are.
        language: Its code (``xxx_Yyyy``), which decides what an abbreviation is.

    Returns:
        The pieces.
    """
    parts: list[tuple[str, bool]] = []
    for line in re.split(r"(\r\n|\r|\n)", text):
        if not line.strip():
            parts.append((line, False))
            continue
        for sentence in sentencex.segment(language[:3], line):
            for chunk in _chunks(sentence):
                core = chunk.strip()
                start = chunk.index(core)
                parts.append((chunk[:start], False))
                parts.append((core, bool(core)))
                parts.append((chunk[start + len(core) :], False))
    return Pieces(tuple(part for part in parts if part[0]))


def join(pieces: Pieces, translations: Mapping[int, str]) -> str:
    """Put translated sentences, by position, back between what stood around them."""
    return "".join(translations[i] if is_sentence else part for i, (part, is_sentence) in enumerate(pieces.parts))


def _chunks(sentence: str) -> Iterator[str]:
    """Yield ``sentence`` whole, or cut at the last space before ``LONGEST`` where it is longer."""
    while len(sentence) > LONGEST:
        cut = sentence.rfind(" ", 1, LONGEST) + 1 or LONGEST
        yield sentence[:cut]
        sentence = sentence[cut:]
    yield sentence
