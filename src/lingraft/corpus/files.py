"""Lines of text files as they are on disk: plain, compressed, tab-separated, JSON."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

from lingraft.atoms import DataError
from lingraft.atoms.languages import find

MARK = "\ufeff"
"""The byte order mark, which is no part of a text."""


def lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, decompressed where its name ends in ``.gz``.

    Line ends are taken off, and so are byte order marks: files that were put together have one wherever one began.

    Args:
        path: The file.

    Returns:
        The lines in order, empty ones included.

    Raises:
        DataError: If the file is missing, empty, cut short, not UTF-8, or holds a NUL.
    """
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" and raw else raw
    except FileNotFoundError:
        raise DataError(
            f"{path} must be a file, but there is none. Check the pattern and the language codes."
        ) from None
    except (EOFError, zlib.error) as error:
        raise DataError(
            f"{path} must be a whole gzip file, but is cut short or damaged ({error}). Get it again."
        ) from None
    except OSError as error:
        raise DataError(f"{path} must be readable, but is not: {error}.") from None
    if not data.strip():
        raise DataError(f"{path} must hold text, but is empty.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} must be UTF-8, but line {number} is not. Convert it, e.g. with iconv.") from None
    if "\0" in text:
        raise _holds_nul(path, text.count("\n", 0, text.index("\0")) + 1)
    # Only line feeds end a line: other separators occur within sentences.
    found = text.split("\n")
    return [line.lstrip(MARK).removesuffix("\r") for line in (found[:-1] if found[-1] == "" else found)]


def _holds_nul(path: Path, number: int) -> DataError:
    return DataError(f"{path} must be text, but line {number} holds a NUL character. Remove it.")


def two_columns(path: Path) -> tuple[list[str], list[str]]:
    """Return the columns of a tab-separated file.

    Args:
        path: The file; ``.gz`` is decompressed.

    Returns:
        The left and the right column, of equal length, in the order of the lines.

    Raises:
        DataError: As ``lines``; or if a line has not exactly two columns.
    """
    rows = [line.split("\t") if line.strip() else ["", ""] for line in lines(path)]
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise DataError(
                f"{path} must have 2 tab-separated columns, but line {number} has {len(row)}. "
                "Each line is a sentence, a tab, its translation."
            )
    return [row[0] for row in rows], [row[1] for row in rows]


def json_columns(path: Path, a: str, b: str) -> tuple[list[str], list[str]]:
    """Return the texts of two languages from a file with one JSON object per line.

    The keys are codes; where a line lacks the code itself, any other usual form of it will do. A line
    without text in one of the two gives an empty text there, as a line of a table would.

    Args:
        path: The file.
        a: Code of the left language.
        b: Code of the right language.

    Returns:
        The texts in ``a`` and in ``b``.

    Raises:
        DataError: As ``lines``; or if a line is no object, spells out a NUL, names a language twice, or none has
            both.
    """
    left: list[str] = []
    right: list[str] = []
    for number, line in enumerate(lines(path), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path} must hold a JSON object in each line, but line {number} does not: {error}."
            ) from None
        if not isinstance(value, dict):
            raise DataError(f"{path} must hold a JSON object in each line, but line {number} holds another value.")
        for code, column in ((a, left), (b, right)):
            keys = [code] if code in value else [key for key in value if find(key) == code]
            if len(keys) > 1:
                raise DataError(
                    f"{path} must name {code} once in each line, but line {number} has {' and '.join(keys)}."
                )
            text = value[keys[0]] if keys else None
            if isinstance(text, str) and "\0" in text:  # written as an escape
                raise _holds_nul(path, number)
            column.append(text if isinstance(text, str) else "")
    if not any(x and y for x, y in zip(left, right, strict=True)):
        raise DataError(f"{path} must have texts in {a} and {b}, but no line has both. Use the codes as keys.")
    return left, right
