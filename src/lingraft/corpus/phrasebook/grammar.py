"""Reads the synchronous grammar: what each pattern's slots may hold, and how each language puts them in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from lingraft.corpus.phrasebook.lexicon import COLUMNS

HEADER = re.compile(r"\[(?P<family>[^\]]+?)(?: T=(?P<values>[\w,]+))?\]")
SLOT = re.compile(r"(?P<name>\w)=(?P<chooser>\w+)(?:\((?P<labels>[^)]*)\))?")
TOKEN = re.compile(r"\{(?P<name>\w+)(?::(?P<form>\w+))?(?:~(?P<agrees>\w+))?\}")


@dataclass(frozen=True)
class Slot:
    """A place in a sentence and who fills it: `chooser(labels)`."""

    name: str
    chooser: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """A slot or a fixed verb in a form, agreeing with a slot; the defaults depend on what fills it."""

    name: str
    form: str | None
    agrees: str | None


Template = tuple[str | Token, ...]


@dataclass(frozen=True)
class Pattern:
    """One rule of the synchronous grammar.

    Attributes:
        name: The family and, if there are several, the tense.
        family: The name of the block.
        slots: In the order in which they are chosen.
        templates: Language code -> literal text and tokens in the order of that language.
    """

    name: str
    family: str
    slots: tuple[Slot, ...]
    templates: Mapping[str, Template]


def template(text: str, value: str | None) -> Template:
    """The parts of one line, with T replaced."""
    parts: list[str | Token] = []
    end = 0
    for match in TOKEN.finditer(text):
        form = value if match["form"] == "T" else match["form"]
        parts += [text[end : match.start()], Token(match["name"], form, match["agrees"])]
        end = match.end()
    return tuple(part for part in [*parts, text[end:]] if part)


def slots(text: str, value: str | None) -> tuple[Slot, ...]:
    """The slots of one line, with T replaced."""

    def labels(match: re.Match[str]) -> tuple[str, ...]:
        return tuple(
            value if label == "T" and value else label for label in (match["labels"] or "").split(",") if label
        )

    return tuple(Slot(match["name"], match["chooser"], labels(match)) for match in SLOT.finditer(text))


def patterns_of(block: str) -> list[Pattern]:
    """The patterns of one block, one for each value of T."""
    first, *lines = block.splitlines()
    header = HEADER.fullmatch(first)
    if header is None:
        raise ValueError(f"A block of the grammar must begin with [name], but begins with {first!r} instead.")
    fields = dict(line.split(" ", 1) for line in lines)
    values: list[str | None] = list(header["values"].split(",")) if header["values"] else [None]
    return [
        Pattern(
            name=header["family"] + (f", {value}" if value else ""),
            family=header["family"],
            slots=slots(fields["slots"], value),
            templates={code: template(fields.get(column) or fields["all"], value) for column, code in COLUMNS.items()},
        )
        for value in values
    ]


@cache
def load() -> tuple[Pattern, ...]:
    """The grammar of the package."""
    text = (resources.files(__package__) / "tables" / "grammar.txt").read_text("utf-8")
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(pattern for block in kept.split("\n\n") if block.strip() for pattern in patterns_of(block.strip("\n")))
