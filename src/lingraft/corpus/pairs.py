"""Parallel text of two languages: read and cleaned."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from lingraft.atoms import ENGLISH, DataError
from lingraft.corpus import files

LONGEST = 1000  # characters; longer lines are rarely one sentence
STRETCH = 9.0  # one side this many times as long as the other, and more than 50 characters: no translation


@dataclass(frozen=True)
class Pairs:
    """Sentences of ``a`` and their translations in ``b``, row by row; ``a`` < ``b`` as codes.

    Attributes:
        a: Code of the left language.
        b: Code of the right language.
        left: Its sentences.
        right: Their translations.
        origin: The file they came from.
        dropped: Why rows of the file were left out → how many.
    """

    a: str
    b: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    origin: str
    dropped: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.left)

    def __repr__(self) -> str:
        return f"Pairs({self.a}-{self.b}: {len(self)} rows from {self.origin})"

    def of(self, language: str) -> tuple[str, ...]:
        """Return the sentences of one of the two languages."""
        return {self.a: self.left, self.b: self.right}[language]

    def pick(self, rows: Iterable[int]) -> Pairs:
        """Return some of the rows, by number."""
        chosen = list(rows)
        left, right = (tuple(side[i] for i in chosen) for side in (self.left, self.right))
        return Pairs(self.a, self.b, left, right, self.origin)


def read(pattern: str, languages: Sequence[str], pivot: str = ENGLISH) -> list[Pairs]:
    """Return the text that pairs each language with the pivot.

    Args:
        pattern: Where the files are. ``{a}`` and ``{b}`` stand for the two codes in alphabetical order,
            and columns stand in that order: ``DIR/{a}-{b}.tsv.gz``. With ``{lang}`` a pair of files, line
            by line: ``DIR/{a}-{b}.{lang}.gz``. ``.jsonl``: one JSON object per line, keys are codes.
        languages: Codes.
        pivot: The language on the other side.

    Returns:
        One value for each language, in order: without empty, overlong, doubled or mismatched rows.

    Raises:
        DataError: If the pattern has no place for the codes, or a file is missing or malformed.
    """
    if "{lang}" not in pattern and not ("{a}" in pattern and "{b}" in pattern) and ".jsonl" not in pattern:
        raise DataError(
            f"`pairs` must hold {{a}} and {{b}} for the two codes, or {{lang}}, but is {pattern!r} instead. "
            "For example 'DIR/{a}-{b}.tsv.gz'."
        )
    return [_read(pattern, *sorted((language, pivot))) for language in languages]


def between(pattern: str, languages: Sequence[str]) -> list[Pairs]:
    """Return the text of every pair of some languages for which there is any.

    Args:
        pattern: As for ``read``, one file (or two) for each pair of languages.
        languages: Codes, at least two.

    Returns:
        One value for each pair whose files are there, in alphabetical order.

    Raises:
        DataError: If the pattern has no place for the codes, a language has text with no other one, or a
            file is malformed.
    """
    if not ("{a}" in pattern and "{b}" in pattern):
        raise DataError(f"`pairs` must hold {{a}} and {{b}} for the two codes, but is {pattern!r} instead.")
    if len(set(languages)) < max(2, len(languages)):
        raise DataError(f"`languages` must be at least two, each named once, but are {', '.join(languages)} instead.")
    found = [
        _read(pattern, a, b)
        for a, b in combinations(sorted(languages), 2)
        if all(map(Path.is_file, _paths(pattern, a, b)))
    ]
    there = {language for pairs in found for language in (pairs.a, pairs.b)}
    if missing := sorted(set(languages) - there):
        raise DataError(
            f"`pairs` must hold text of every language with another one, but {pattern} has none of "
            f"{', '.join(missing)}. Check the pattern, or leave them out."
        )
    return found


def _paths(pattern: str, a: str, b: str) -> list[Path]:
    """Return the file, or the two files, of a pair of languages."""
    path = pattern.replace("{a}", a).replace("{b}", b)
    return [Path(path.replace("{lang}", code)) for code in (a, b)] if "{lang}" in path else [Path(path)]


def _read(pattern: str, a: str, b: str) -> Pairs:
    """Read the text of one pair of languages."""
    if a == b:
        raise DataError(f"`languages` must be other than the pivot {a}, but hold it. Leave it out.")
    path = pattern.replace("{a}", a).replace("{b}", b)
    if "{lang}" in path:
        sides = _paths(pattern, a, b)
        left, right = map(files.lines, sides)
        if len(left) != len(right):
            raise DataError(
                f"{sides[0]} and {sides[1]} must have as many lines, but have {len(left)} and {len(right)} instead."
            )
    elif path.endswith((".jsonl", ".jsonl.gz")):
        left, right = files.json_columns(Path(path), a, b)
    elif path.endswith((".tsv", ".tsv.gz")):
        left, right = files.two_columns(Path(path))
    else:
        raise DataError(f"`pairs` must end in .tsv, .tsv.gz, .jsonl, .jsonl.gz or hold {{lang}}, but is {pattern!r}.")
    return clean(a, b, left, right, path)


def clean(a: str, b: str, left: Sequence[str], right: Sequence[str], origin: str) -> Pairs:
    """Return the usable rows: composed Unicode (NFC), stripped, each once.

    Args:
        a: Code of the left language.
        b: Code of the right language.
        left: Sentences.
        right: Their translations.
        origin: Where they come from.

    Returns:
        The rows that are left, with the number of those left out and why.

    Raises:
        DataError: If none is left, or most rows have the same text on both sides.
    """
    why: Counter[str] = Counter()
    kept: dict[tuple[str, str], None] = {}
    same = 0
    for x, y in zip(map(normal, left), map(normal, right), strict=True):
        short, long = sorted((len(x), len(y)))
        same += x == y != ""
        if not short:
            why["empty"] += 1
        elif long > LONGEST:
            why["overlong"] += 1
        elif long > 50 and long > STRETCH * short:
            why["of unlike length"] += 1
        elif (x, y) in kept:
            why["doubled"] += 1
        else:
            kept[x, y] = None
    if 2 * same > len(left) and same > 2:
        raise DataError(
            f"{origin} must hold {a} and {b}, but {same} of {len(left)} rows have the same text on both sides. "
            "Check that source and target are two languages."
        )
    if not kept:
        raise DataError(f"{origin} must hold sentence pairs, but none of its {len(left)} rows is usable ({dict(why)}).")
    return Pairs(a, b, tuple(x for x, _ in kept), tuple(y for _, y in kept), origin, dict(why))


def normal(text: str) -> str:
    """Return a text as one line, stripped and in composed form (NFC).

    Half a surrogate pair becomes �. A text of characters that nobody sees is empty; within a text they stay, since some
    scripts need joiners.
    """
    whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    line = " ".join(unicodedata.normalize("NFC", whole).split("\n")).replace("\t", " ").replace("\r", " ").strip()
    while line.startswith(files.MARK):
        line = line.lstrip(files.MARK).lstrip()
    return "" if all(letter.isspace() or unicodedata.category(letter) == "Cf" for letter in line) else line
