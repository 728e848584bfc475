"""Test sets: the same sentences in several languages, line by line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lingraft.atoms import DataError, LanguageError
from lingraft.atoms.languages import parse
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
    """Return the codes for which a file is there."""
    before, after = (Path(pattern).name).split("{lang}", 1)
    shape = re.compile(re.escape(before) + r"([A-Za-z_-]+)" + re.escape(after).replace(r"\{lang\}", r"\1"))
    folder = Path(pattern).parent
    codes = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if match := shape.fullmatch(path.name):
            try:
                same = parse(match[1]) == match[1]
            except LanguageError:
                continue
            if same:
                codes.append(match[1])
    return codes
