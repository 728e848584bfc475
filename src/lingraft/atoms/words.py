"""The vocabulary as values: small, frozen, hashable, comparable, and free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

ENGLISH = "eng_Latn"


class Role(StrEnum):
    """What a language is in a direction: SOURCE (the paper's *input* adapter) or TARGET (*output*)."""

    SOURCE = "source"
    TARGET = "target"


class Scope(StrEnum):
    """The positions of a sequence on which an update acts."""

    EVERYWHERE = "everywhere"
    SOURCE = "source"
    TARGET = "target"


class Direction(NamedTuple):
    """An ordered pair of language codes (``xxx_Yyyy``), e.g. ``Direction("deu_Latn", "fra_Latn")``."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}-{self.target}"


class Site(NamedTuple):
    """One linear map of the base that may carry an update, e.g. ``Site("decoder", 3, "q")``."""

    stack: str
    layer: int
    name: str

    def __str__(self) -> str:
        return f"{self.stack}.{self.layer}.{self.name}"


class Key(NamedTuple):
    """The address of one update in a bank."""

    site: Site
    language: str
    role: Role


class AdapterName(NamedTuple):
    """The address of an adapter, i.e. of all updates of one language in one role."""

    language: str
    role: Role

    def __str__(self) -> str:
        return f"{self.language}.{self.role.value}"


@dataclass(frozen=True)
class Score:
    """One measured number with what is needed to reproduce it."""

    metric: str
    value: float
    signature: str
