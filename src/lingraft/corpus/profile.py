"""Language profiles: which language a short text is in, for any language that a user adds.

No library knows Ido or Friulian, so each language brings its own profile: the counts of its most
frequent character n-grams. Profiles are made and stored one by one, and adding a language leaves the
others' files as they are. An `Identifier` compares a text with a set of profiles by naive Bayes
(as in Cavnar & Trenkle, 1994, and langid.py, with character n-grams of words padded by one space).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np

from lingraft.atoms import DataError
from lingraft.corpus.ngrams import ORDERS, ngrams, words
from lingraft.corpus.seen import count_seen, is_memory, remember

SIZE = 3000  # n-grams kept per language
MAX_LINES = 20_000  # lines read for a profile; more change nothing that can be measured
MAX_BYTES = 1_000_000  # of the JSON of one profile; 3,000 n-grams need about 50,000
MAX_COUNT = 2**53
FLOOR = 3e-5  # share given to every n-gram, seen or not; chosen on Tatoeba train/dev, flat from 1e-6 to 1e-4

UNKNOWN = "und"  # BCP-47: letters, but of no language that has a profile
NO_LANGUAGE = "zxx"  # BCP-47: no linguistic content, e.g. "10:30"

_FIELDS = frozenset({"format", "language", "lines", "totals", "counts", "seen"})
_CODE = re.compile(r"[a-z]{2,8}(_[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True)
class Profile:
    """What one language looks like: n-gram counts, the most frequent first.

    Attributes:
        language: Code of the language.
        lines: Lines of text that were counted.
        totals: Per order, the number of all n-grams of the text, also of those not kept.
        counts: The kept n-grams, at most `SIZE`.
        memory: Hashes of the sentences of the text, see `corpus.seen`; "" where they are not kept.
    """

    language: str
    lines: int
    totals: tuple[int, ...]
    counts: Mapping[str, int]
    memory: str = ""

    @classmethod
    def train(cls, language: str, lines: Sequence[str]) -> Profile:
        """Count the n-grams of `lines` (evenly spaced ones if there are more than `MAX_LINES`).

        Args:
            language: Code of the language.
            lines: Sentences of that language.

        Returns:
            The profile; equal text gives an equal profile.

        Raises:
            DataError: If the code is malformed or `lines` holds no letters.
        """
        _expect(bool(_CODE.fullmatch(language)), "language", "a code such as `deu_Latn`", repr(language))
        step = max(1, -(-len(lines) // MAX_LINES))
        chosen = lines[::step]
        by_word = Counter(word for line in chosen for word in words(line))
        counts: Counter[str] = Counter()
        for word, times in by_word.items():
            for gram in ngrams(word):
                counts[gram] += times
        if not counts:
            raise DataError(f"`lines` of {language} must hold letters, but holds none. Give text in that language.")
        totals = [0] * ORDERS
        for gram, count in counts.items():
            totals[len(gram) - 1] += count
        kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SIZE]
        return cls(language, len(chosen), tuple(totals), dict(kept), remember(lines))

    def seen(self, lines: Sequence[str]) -> int:
        """Return how many of `lines` stood in the text of this profile."""
        return count_seen(self.memory, lines)

    def without_seen(self) -> Profile:
        """Return the profile without the hashes of its sentences."""
        return replace(self, memory="")

    def to_json(self) -> str:
        """Return the profile as JSON; equal profiles give equal text."""
        fields = {
            "format": 1,
            "language": self.language,
            "lines": self.lines,
            "totals": list(self.totals),
            "counts": dict(self.counts),
            "seen": self.memory,
        }
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Profile:
        """Read what `to_json` wrote, trusting nothing: the file may come from a stranger.

        Args:
            text: The JSON.

        Returns:
            The profile.

        Raises:
            DataError: If the text is too long or not exactly a profile.
        """
        _expect(len(text) <= MAX_BYTES, "profile", f"at most {MAX_BYTES} bytes", f"{len(text)} bytes")
        try:
            data = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise DataError(f"`profile` must be JSON, but is not: {error}. {_REMEDY}") from error
        _expect(isinstance(data, dict) and data.keys() == _FIELDS, "profile", f"the fields {sorted(_FIELDS)}", "other")
        version, language, lines, totals, counts = (
            data[name] for name in ("format", "language", "lines", "totals", "counts")
        )
        _expect(_natural(version) and version == 1, "profile.format", "1", repr(version)[:40])
        _expect(
            isinstance(language, str) and bool(_CODE.fullmatch(language)), "profile.language", "a code", "malformed"
        )
        _expect(_natural(lines), "profile.lines", "a count", repr(lines)[:40])
        _expect(
            isinstance(totals, list) and len(totals) == ORDERS and all(map(_natural, totals)),
            "profile.totals",
            f"{ORDERS} counts",
            "something else",
        )
        _expect(isinstance(counts, dict) and 0 < len(counts) <= SIZE, "profile.counts", f"1 … {SIZE} n-grams", "not")
        sums = [0] * ORDERS
        for gram, count in counts.items():
            _expect(1 <= len(gram) <= ORDERS, "profile.counts", f"n-grams of 1 … {ORDERS} characters", repr(gram)[:40])
            _expect(_natural(count), f"profile.counts[{gram!r}]", "a count", repr(count)[:40])
            sums[len(gram) - 1] += count
        _expect(all(s <= t for s, t in zip(sums, totals, strict=True)), "profile.totals", "≥ the counts' sums", "less")
        _expect(is_memory(data["seen"]), "profile.seen", "hashes of sentences", "something else")
        return cls(language, lines, tuple(totals), counts, data["seen"])


def known_profiles() -> dict[str, Profile]:
    """Return the language profiles that come with the package: those of the demo base's languages."""
    folder = resources.files("lingraft") / "data" / "profiles"
    return {
        path.name.removesuffix(".json"): Profile.from_json(path.read_bytes())
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".json")
    }


class Identifier:
    """Names the language of a text among those that have a profile.

    A text in a language without a profile is taken for the most similar one that has one, unless
    most of its letters are unknown to all profiles. So give the profiles of all languages that the
    outputs may be in, not only of those that are wanted.
    """

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        """Index the profiles.

        Args:
            profiles: Profile of each language code; at least two.

        Raises:
            DataError: If there are fewer than two, or a profile stands under another language's code.
        """
        _expect(len(profiles) >= 2, "profiles", "at least two languages", str(len(profiles)))
        for code, profile in profiles.items():
            _expect(code == profile.language, f"profiles[{code!r}]", f"of {code}", f"of {profile.language}")
        self.languages: tuple[str, ...] = tuple(sorted(profiles))
        grams = sorted(set().union(*(profile.counts for profile in profiles.values())))
        self._index = {gram: row for row, gram in enumerate(grams)}
        shares = np.zeros((len(grams), len(self.languages)), dtype=np.float32)  # n-gram, language
        for column, code in enumerate(self.languages):
            profile = profiles[code]
            for gram, count in profile.counts.items():
                shares[self._index[gram], column] = count / max(1, profile.totals[len(gram) - 1])
        # Every order is its own distribution. The floor is a share and not a count, so that a language with
        # a hundred lines of text competes with one that has a million.
        self._logs = np.log(shares + FLOOR)

    def identify(self, text: str) -> tuple[str, float]:
        """Return the most probable language of `text` and by how much it leads.

        Args:
            text: One sentence or more.

        Returns:
            The code (`NO_LANGUAGE` for a text without letters, `UNKNOWN` if more than half of its letters
            occur in no profile) and the lead over the second language in nats (0 for these two).
        """
        found = words(text)
        letters = [letter for word in found for letter in word]
        if not letters:
            return NO_LANGUAGE, 0.0
        if 2 * sum(letter in self._index for letter in letters) < len(letters):
            return UNKNOWN, 0.0
        rows = [self._index[gram] for word in found for gram in ngrams(word) if gram in self._index]
        scores = self._logs[rows].sum(axis=0, dtype=np.float64)  # language
        best = int(scores.argmax())
        return self.languages[best], float(scores[best] - np.delete(scores, best).max())

    def accepts(self, text: str, language: str) -> bool:
        """Whether `text` passes as an output in `language`: not blank, and no other language is likelier.

        A text without letters, such as "10:30", passes in every language.
        """
        return bool(text.strip()) and self.identify(text)[0] in (language, NO_LANGUAGE)

    def accuracy(self, lines: Mapping[str, Iterable[str]]) -> dict[str, float]:
        """Return, per language, the percentage of its known lines that are accepted as such.

        An off-target rate of 100 minus this number is what perfect translations would get.

        Args:
            lines: Lines known to be in each language; every language needs a profile.

        Returns:
            Percent per language.

        Raises:
            DataError: If a language has no profile or no lines.
        """
        result = {}
        for language, texts in lines.items():
            _expect(language in self.languages, "language", f"one of {', '.join(self.languages)}", language)
            hits = [self.accepts(text, language) for text in texts]
            _expect(bool(hits), f"lines of {language}", "at least one line", "empty")
            result[language] = 100 * sum(hits) / len(hits)
        return result


_REMEDY = "Make the profile again, or get the file again."


def _expect(condition: bool, name: str, must: str, found: str) -> None:
    if not condition:
        raise DataError(f"`{name}` must be {must}, but is {found} instead. {_REMEDY}")


def _natural(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name occurs twice")
    return fields
