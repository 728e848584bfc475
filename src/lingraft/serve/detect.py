"""Which language a text is in, among those whose profiles come with the library or with the package."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lingraft.atoms import LingraftError
from lingraft.corpus.profile import NO_LANGUAGE, UNKNOWN, Identifier, Profile, known_profiles
from lingraft.library import Library, Pointer
from lingraft.serve.scripts import telling, writing

READ = 2_000
"""Characters of a text that are looked at; more change nothing."""
SPREAD = 10.0
"""Nats of lead that count as one. The n-grams of a word overlap, so naive Bayes counts the same evidence several times.
Chosen on the first 1 to 40 words of NTREX lines in 12 languages: log loss 0.27, against 0.83 with 1; flat from 8."""

CLEAR = 90.0
"""Percent from which a language that is not on offer is believed."""
BY_SCRIPT = 50.0
"""Percent for a language that is told by its script alone: nothing speaks for it against another one."""
_Key = tuple[frozenset[tuple[str, str]], frozenset[str]]


@dataclass(frozen=True)
class Detected:
    """The language of a text."""

    language: str | None
    """None: it has no words, or cannot be told."""
    confidence: float
    """Percent: how probable it is that this language and not the second one is right."""
    trouble: Literal["foreign", "shared"] | None = None
    """Why a text with words has no language: none on offer is written in its letters, or several are and nothing
    else is known of them. None: it has one, or no words."""


class Detector:
    """Names languages; knows a language as soon as it is installed."""

    def __init__(self, library: Library | None = None, profiles: Mapping[str, Profile] | None = None) -> None:
        """Take the profiles to start from.

        Args:
            library: Where the profiles of installed languages lie; None: only ``profiles`` are used.
            profiles: Of languages that may come up, installed or not; None: those of the package.
        """
        self._library = library
        known = known_profiles() if profiles is None else profiles
        self._known = {code: profile.without_seen() for code, profile in known.items()}
        self._own: dict[tuple[str, str], Profile] = {}
        self._lock = threading.Lock()
        self._current: tuple[_Key, tuple[Identifier, Identifier]] | None = None

    def identify(
        self, texts: Iterable[str], installed: Mapping[str, Pointer], offered: Sequence[str]
    ) -> list[Detected]:
        """Return the language of each text.

        A language that is not on offer is named only where it is clear; else the likeliest on offer is. Letters that
        are in no profile tell a script, and so a language where a single one on offer is written in it.

        Args:
            texts: The texts, without markup.
            installed: The languages being served; new ones are learned, which reads their profiles.
            offered: All languages on offer.

        Returns:
            One answer for each text.
        """
        everything, ours = self._identifiers(installed, offered)
        return [_detected(everything, ours, offered, text[:READ]) for text in texts]

    def _identifiers(self, installed: Mapping[str, Pointer], offered: Sequence[str]) -> tuple[Identifier, Identifier]:
        """Return the identifier of all known languages, and that of those on offer."""
        wanted = frozenset((code, pointer.target) for code, pointer in installed.items())
        key = wanted, frozenset(offered)
        with self._lock:
            if self._current is None or self._current[0] != key:
                for code, version in wanted - self._own.keys():
                    self._read(code, version)
                self._own = {each: profile for each, profile in self._own.items() if each in wanted}
                known = {**self._known, **{code: profile for (code, _), profile in self._own.items()}}
                ours = {code: profile for code, profile in known.items() if code in key[1]}
                everything = Identifier(known)
                self._current = key, (everything, Identifier(ours) if 1 < len(ours) < len(known) else everything)
            return self._current[1]

    def _read(self, code: str, version: str) -> None:
        """Learn a language; one whose profile is damaged or just gone stays unknown, and hurts no other."""
        if self._library is None:
            return
        try:
            self._own[code, version] = self._library.profiles([code])[code].without_seen()
        except LingraftError:
            return


def _detected(everything: Identifier, ours: Identifier, offered: Sequence[str], text: str) -> Detected:
    code, confidence = _likeliest(everything, text)
    if code == NO_LANGUAGE:
        return Detected(None, 0.0)
    if code != UNKNOWN and code not in ours.languages and confidence < CLEAR:
        code, confidence = _likeliest(ours, text)[0], round(100 - confidence, 1)
    return _by_script(text, offered) if code == UNKNOWN else Detected(code, confidence)


def _likeliest(identifier: Identifier, text: str) -> tuple[str, float]:
    """Return the most probable language of a text that has a profile, and how sure that is, in percent."""
    code, lead = identifier.identify(text)
    return code, round(100 / (1 + math.exp(-min(lead / SPREAD, 50.0))), 1)


def _by_script(text: str, offered: Sequence[str]) -> Detected:
    """Return the language of a text whose letters are in no profile: the only one on offer with its script."""
    names = telling(text)
    if not names:
        return Detected(None, 0.0)
    found = writing(names, offered)
    if len(found) == 1:
        return Detected(found[0], BY_SCRIPT)
    return Detected(None, 0.0, "shared" if found else "foreign")
