"""Lines of text files as they are on disk: plain, compressed, tab-separated, JSON."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

from lingraft.atoms import DataError, LanguageError
from lingraft.atoms.languages import parse


def lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, decompressed where its name ends in ``.gz``; line ends are taken off.

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
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} must be UTF-8, but line {number} is not. Convert it, e.g. with iconv.") from None
    if "\0" in text:
        number = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path} must be text, but line {number} holds a NUL character. Remove it.")
    # Only line feeds end a line: other separators occur within sentences.
    found = text.split("\n")
    return [line.removesuffix("\r") for line in (found[:-1] if found[-1] == "" else found)]


def two_columns(path: Path) -> tuple[list[str], list[str]]:
    """Return the columns of a tab-separated file.

    Args:
        path: The file; ``.gz`` is decompressed.

    Returns:
        The left and the right column, of equal length, in the order of the lines.

    Raises:
        DataError: As ``lines``; or if a line has not exactly two columns.
    """
    rows = [line.split("\t") for line in lines(path)]
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise DataError(
                f"{path} must have 2 tab-separated columns, but line {number} has {len(row)}. "
                "Each line is a sentence, a tab, its translation."
            )
    return [row[0] for row in rows], [row[1] for row in rows]


def json_columns(path: Path, a: str, b: str) -> tuple[list[str], list[str]]:
    """Return the texts of two languages from a file with one JSON object per line.

    The keys may be any usual form of a language's code. Lines that lack one of the two are left out.

    Args:
        path: The file; ``.gz`` is decompressed.
        a: Code of the first language, e.g. eng_Latn.
        b: Code of the second.

    Returns:
        The texts in ``a`` and those in ``b``, of equal length, in the order of the lines.

    Raises:
        DataError: As ``lines``; or if a line is no object of texts, or none has both languages.
    """
    left, right = [], []
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
        row = {_code(key): text for key, text in value.items() if isinstance(text, str)}
        if a in row and b in row:
            left.append(row[a])
            right.append(row[b])
    if not left:
        raise DataError(f"{path} must have texts in {a} and {b}, but no line has both. Use the codes as keys.")
    return left, right


def _code(key: str) -> str:
    """Return a key as a language code, or as it is where it names none."""
    try:
        return parse(key)
    except LanguageError:
        return key
