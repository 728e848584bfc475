"""Text that is hardly what it is said to be: columns in the wrong order, a file of another language."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from lingraft.atoms import ENGLISH
from lingraft.atoms.languages import name
from lingraft.corpus.pairs import Pairs
from lingraft.corpus.profile import NO_LANGUAGE, Identifier, known_profiles

SCRIPTS = {
    "Arab": "ARABIC",
    "Armn": "ARMENIAN",
    "Beng": "BENGALI",
    "Cyrl": "CYRILLIC",
    "Deva": "DEVANAGARI",
    "Ethi": "ETHIOPIC",
    "Geor": "GEORGIAN",
    "Grek": "GREEK",
    "Gujr": "GUJARATI",
    "Hebr": "HEBREW",
    "Khmr": "KHMER",
    "Knda": "KANNADA",
    "Laoo": "LAO",
    "Latn": "LATIN",
    "Mlym": "MALAYALAM",
    "Mymr": "MYANMAR",
    "Sinh": "SINHALA",
    "Taml": "TAMIL",
    "Telu": "TELUGU",
    "Thai": "THAI",
    "Tibt": "TIBETAN",
}
"""ISO 15924 code → how Unicode's names of its letters begin, for scripts whose letters have one name."""
SAMPLE = 200
"""Lines that are looked at."""
LEAST = 0.5
"""The share of the lines, or of the letters, that must be as they are said to be."""


def suspicions(corpus: Iterable[Pairs]) -> list[str]:
    """Return a warning for each side of a text that seems to be in another language or script.

    English is told by its profile from the other languages that come with the package; any other language by its
    script alone, since nothing else is known of it.

    Args:
        corpus: Texts.

    Returns:
        The warnings.
    """
    identifier, found = Identifier(known_profiles()), []
    for pairs in corpus:
        for language in (pairs.a, pairs.b):
            lines = pairs.of(language)[:: max(1, len(pairs) // SAMPLE)]
            if language == ENGLISH:
                share, what = _identified(identifier, lines), "lines look like English"
            else:
                share, what = _written(lines, language), f"letters are of the script {language[-4:]}"
            if share < LEAST:
                found.append(
                    f"warning: {pairs.origin}: only {100 * share:.0f} % of the {name(language)} {what}. "
                    "Are the columns in the order of the codes, and is it the right file?"
                )
    return found


def _identified(identifier: Identifier, lines: Sequence[str]) -> float:
    """Return the share of the lines with letters that are taken for English."""
    codes = [code for line in lines if (code := identifier.identify(line)[0]) != NO_LANGUAGE]
    return codes.count(ENGLISH) / len(codes) if codes else 1.0


def _written(lines: Sequence[str], language: str) -> float:
    """Return the share of the letters that are of the language's script; 1 where that can't be told."""
    start = SCRIPTS.get(language[-4:])
    letters = [letter for line in lines for letter in line if letter.isalpha()]
    if start is None or not letters:
        return 1.0
    return sum(unicodedata.name(letter, "").startswith(start) for letter in letters) / len(letters)
