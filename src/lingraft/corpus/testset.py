"""Test sets: the same sentences in several languages, line by line."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lingraft.atoms import DataError
from lingraft.atoms.languages import find
from lingraft.corpus import files
from lingraft.corpus.pairs import normal


@dataclass(frozen=True)
class TestSet:
    """Line-parallel sentences; ``lines[code][i]`` says the same for every language.

    Attributes:
        lines: Sentences per language code.
        origin: The pattern of the files.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    lines: Mapping[str, tuple[str, ...]]
    origin: str

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes, in the order of reading."""
        return tuple(self.lines)


def read_testset(pattern: str, languages: Sequence[str] | None = None, limit: int | None = None) -> TestSet:
    """Read a test set.

    Args:
        pattern: Where the files are, ``{lang}`` standing for the code: ``DIR/test.{lang}.txt.gz``.
        languages: Which languages to read; None: all whose files are there.
        limit: Read the first lines only.

    Returns:
        The test set; doubled lines are kept, empty ones are not allowed.

    Raises:
        DataError: If a file is missing or malformed, or the files differ in length.
    """
    if limit is not None and limit < 1:
        raise DataError(f"`limit` must be at least 1, but is {limit} instead.")
    if "{lang}" not in pattern:
        raise DataError(
            f"`testset` must hold {{lang}} for the code, but is {pattern!r}. E.g. 'DIR/test.{{lang}}.txt.gz'."
        )
    chosen = _present(pattern) if languages is None else languages
    texts = {code: files.lines(Path(pattern.replace("{lang}", code))) for code in chosen}
    if not texts:
        raise DataError(f"`testset` must be files such as {pattern}, but there is none. Check the folder.")
    counts = {code: len(text) for code, text in texts.items()}
    if len(set(counts.values())) > 1:
        short, long = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        raise DataError(
            f"`testset` must have as many lines in every language, but has {counts[short]} in {short} and "
            f"{counts[long]} in {long} instead."
        )
    for code, text in texts.items():
        for number, line in enumerate(text[:limit], 1):
            if not line.strip():
                raise DataError(f"`testset` must have text in every line, but line {number} of {code} is empty.")
    return TestSet({code: tuple(map(normal, text[:limit])) for code, text in texts.items()}, pattern)


def _present(pattern: str) -> list[str]:
    """Return the codes for which a file is there; ``{lang}`` may stand in folders too."""
    parts = pattern.split("{lang}")
    shape = re.compile(
        r"([A-Za-z_-]+)".join(map(re.escape, parts[:2])) + "".join(rf"\1{re.escape(p)}" for p in parts[2:])
    )
    found = (shape.fullmatch(path) for path in sorted(glob.glob("*".join(map(glob.escape, parts)))))
    return [match[1] for match in found if match and find(match[1]) == match[1]]
