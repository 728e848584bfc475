"""Which of some languages a text can be in by its letters alone, for letters that no profile knows."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from lingraft.corpus.ngrams import words
from lingraft.corpus.suspicion import SCRIPTS

_MORE = {
    "Cans": ("CANADIAN",),
    "Guru": ("GURMUKHI",),
    "Hang": ("HANGUL",),
    "Hani": ("CJK", "BOPOMOFO"),
    "Hans": ("CJK", "BOPOMOFO"),
    "Hant": ("CJK", "BOPOMOFO"),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Kore": ("HANGUL", "CJK"),
    "Mtei": ("MEETEI",),
    "Nkoo": ("NKO",),
    "Orya": ("ORIYA",),
}
"""ISO 15924 code → how Unicode's names of its letters begin, where that is not the script's English name."""


def telling(text: str) -> list[str]:
    """Return Unicode's names of the letters of a text, without those that stand alone as symbols do (5 Ω).

    Args:
        text: Any text.

    Returns:
        The names, in order. A letter of a script without capitals is a word by itself (水), and is never left out.
    """
    plain = unicodedata.normalize("NFKC", text)
    found = [word for word in words(plain) if len(word) > 1 or word.upper() == word]
    return [unicodedata.name(letter, "") for word in found for letter in word if letter.isalpha()]


def writing(names: Sequence[str], languages: Sequence[str]) -> list[str]:
    """Return the languages whose script has the most of some letters, and at least half of them.

    Args:
        names: The letters, as `telling` returned them.
        languages: Codes.

    Returns:
        Codes, in the order of ``languages``; none: the letters are of other scripts.
    """
    counts = {
        script: sum(name.startswith(_beginnings(script)) for name in names)
        for script in {code[-4:] for code in languages}
    }
    most = max(counts.values(), default=0)
    return [code for code in languages if counts[code[-4:]] == most] if 0 < len(names) <= 2 * most else []


@lru_cache(maxsize=256)
def _beginnings(script: str) -> tuple[str, ...]:
    """Return how Unicode's names of the letters of a script begin."""
    import langcodes

    if script in SCRIPTS:
        return (SCRIPTS[script],)
    return _MORE.get(script) or (langcodes.Language.make(script=script).script_name().upper(),)
