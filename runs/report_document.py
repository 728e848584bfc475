"""Documents whose tables a script rewrites between two marks, and the tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table as lines of Markdown."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return ["", *(f"| {' | '.join(line)} |" for line in lines), ""]


def put(path: Path, script: str, title: str, tables: str) -> None:
    """Write the tables of a script into a document, between its marks; a new document gets a title."""
    begin, end = f"<!-- tables of {script} -->", "<!-- end of the tables -->"
    before, after = f"# {title}\n\n", "\n"
    if path.exists():
        text = path.read_text(encoding="utf-8")
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise SystemExit(f"`{path}` must hold the lines {begin} and {end} once each, in this order. Put them in.")
        before, after = text.split(begin)[0], text.split(end)[1]
    path.write_text(f"{before}{begin}\n\n{tables.strip()}\n\n{end}{after}", encoding="utf-8")
