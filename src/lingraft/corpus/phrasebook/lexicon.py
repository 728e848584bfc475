"""Reads the lexicon: one table per kind of word, one column per language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from lingraft.corpus.phrasebook.values import Entry

COLUMNS = {"eng": "eng_Latn", "epo": "epo_Latn", "ina": "ina_Latn", "ido": "ido_Latn"}
TABLES = {
    "nouns": "noun",
    "names": "name",
    "verbs": "verb",
    "adjectives": "adjective",
    "determiners": "determiner",
    "pronouns": "pronoun",
    "words": "word",
}
CLASSES = ("classes", "fits", "tags")
TAKES = ("takes", "manner", "fits")


@dataclass(frozen=True, eq=False)
class Lexicon:
    """All entries, by kind, in the order of the tables."""

    kinds: Mapping[str, tuple[Entry, ...]]

    def __len__(self) -> int:
        return sum(len(entries) for entries in self.kinds.values())

    def __iter__(self) -> Iterator[Entry]:
        for entries in self.kinds.values():
            yield from entries

    def named(self, kind: str, key: str) -> Entry:
        """The first entry of a kind with an English word or, for pronouns and determiners, a key."""
        for entry in self.kinds[kind]:
            if key in (entry.words["eng_Latn"], entry.forms.get("key")):
                return entry
        raise KeyError(f"{kind} {key}")

    def select(self, kind: str, classes: Iterable[str] = ()) -> tuple[Entry, ...]:
        """The entries of a kind that belong to at least one of the classes; all of them if none is given."""
        wanted = frozenset(classes)
        return tuple(entry for entry in self.kinds[kind] if not wanted or entry.classes & wanted)


def table(name: str) -> list[dict[str, str]]:
    """The rows of a table, by column name."""
    text = (resources.files(__package__) / "tables" / f"{name}.tsv").read_text("utf-8")
    header, *rows = (line.split("\t") for line in text.splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def entry(kind: str, row: Mapping[str, str]) -> Entry:
    """The entry of one row."""

    def labels(columns: Iterable[str]) -> frozenset[str]:
        return frozenset(label for column in columns for label in row.get(column, "").split(",") if label)

    return Entry(
        kind=row.get("kind", kind),
        words={code: row[column] for column, code in COLUMNS.items()},
        forms={column: value for column, value in row.items() if column not in COLUMNS},
        classes=labels(CLASSES),
        takes=labels(TAKES),
    )


@cache
def load() -> Lexicon:
    """The lexicon of the package."""
    kinds: dict[str, list[Entry]] = {}
    for name, kind in TABLES.items():
        for row in table(name):
            new = entry(kind, row)
            kinds.setdefault(new.kind, []).append(new)
    return Lexicon({kind: tuple(entries) for kind, entries in kinds.items()})
