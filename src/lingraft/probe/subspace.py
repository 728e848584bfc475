"""Subspaces: how much of each language's B survived pruning, and where.

After pruning across languages (within a layer), the share of a language's entries that survived shows
how many parameters it needs (LSLo, Cao et al. 2024: intrinsic subspace estimation).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from lingraft.atoms import DataError, Role, Site
from lingraft.delta import Bank

K = TypeVar("K", bound=Hashable)
_EQUAL = 0.005
"""Shares of languages that differ by less than this say nothing about demand."""


class Cell(NamedTuple):
    """What is left of the B of one update: ``surviving`` of ``entries`` = out · rank are not zero."""

    language: str
    role: Role
    site: Site
    rank: int
    surviving: int
    entries: int


@dataclass(frozen=True)
class Survival:
    """What is left of every B of a bank; every other number here is a sum over the cells."""

    cells: tuple[Cell, ...]

    def shares(self, key: Callable[[Cell], K]) -> dict[K, float]:
        """Return the surviving share of each group of cells, 0 … 1.

        Args:
            key: Names the group of a cell.

        Returns:
            Group → surviving entries / entries; a group without entries is left out.
        """
        surviving: dict[K, int] = defaultdict(int)
        entries: dict[K, int] = defaultdict(int)
        for cell in self.cells:
            group = key(cell)
            surviving[group] += cell.surviving
            entries[group] += cell.entries
        return {group: surviving[group] / count for group, count in entries.items() if count}

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages, those that keep the largest share first."""
        kept = self.shares(lambda cell: cell.language)
        return tuple(sorted({cell.language for cell in self.cells}, key=lambda code: (-kept.get(code, 0.0), code)))

    @cached_property
    def stacks(self) -> tuple[str, ...]:
        """The stacks with updates, in network order."""
        return tuple(sorted({cell.site.stack for cell in self.cells}, key=lambda stack: (stack != "encoder", stack)))

    @cached_property
    def ranks(self) -> dict[str, int]:
        """The largest rank of each language's updates."""
        return {code: max(cell.rank for cell in self.cells if cell.language == code) for code in self.languages}

    @cached_property
    def comparable(self) -> bool:
        """Whether all languages have updates at the same sites, so that a rank costs each the same."""
        places: dict[str, set[tuple[Role, Site]]] = defaultdict(set)
        for cell in self.cells:
            places[cell.language].add((cell.role, cell.site))
        return len({frozenset(found) for found in places.values()}) <= 1

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader of the shares must know."""
        kept = self.shares(lambda cell: cell.language).values()
        found = []
        if kept and min(kept) > 1 - _EQUAL:
            found.append("Hardly an entry of B is zero: nothing was pruned, so nothing shows what a language needs.")
        elif len(kept) > 1 and max(kept) - min(kept) < _EQUAL:
            found.append(
                "All languages keep about the same share, as after pruning within each language; only pruning "
                "across languages shows which of them needs more."
            )
        if not self.comparable:
            found.append("Not all languages have updates at the same sites, so no ranks are suggested.")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return all cells, and the share of each language with its largest rank, as plain data."""
        kept = self.shares(lambda cell: cell.language)
        return {
            "format": 1,
            "cells": [
                {**cell._asdict(), "role": cell.role.value, "site": [*cell.site]}  # JSON knows no tuples
                for cell in self.cells
            ],
            "languages": {code: {"share": kept.get(code), "rank": self.ranks[code]} for code in self.languages},
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Survival:
        """Read what `to_json` wrote; the shares are computed anew.

        Args:
            text: The JSON.

        Returns:
            The same cells.

        Raises:
            DataError: If the text is not exactly that.
        """
        try:
            data = json.loads(text)
            if data.keys() != {"format", "cells", "languages"} or data["format"] != 1:
                raise ValueError("it has another format")
            cells = tuple(map(_cell, data["cells"]))
            if len({cell[:3] for cell in cells}) < len(cells):
                raise ValueError("a cell stands there twice")
            return cls(cells)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(
                f"the survival must be JSON as `Survival.to_json` writes it, but is not ({error!r}). Write it anew."
            ) from error


def survival(bank: Bank) -> Survival:
    """Count what is left of each B of a bank that was pruned.

    Args:
        bank: The adapters.

    Returns:
        One cell per update, by language, role and site.
    """
    return Survival(
        tuple(
            Cell(name.language, name.role, site, update.rank, int(update.B.count_nonzero()), update.B.numel())
            for name, adapter in sorted(bank.items())
            for site, update in sorted(adapter.updates.items())
        )
    )


def _cell(data: Mapping[str, Any]) -> Cell:
    """Read one cell strictly; anything wrong is a ValueError, TypeError or KeyError."""
    stack, layer, name = data["site"]
    numbers = (layer, data["rank"], data["surviving"], data["entries"])
    if data.keys() != set(Cell._fields) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"{data} is no cell")
    if not all(isinstance(text, str) for text in (stack, name, data["language"])):
        raise ValueError(f"{data} is no cell")
    if data["surviving"] > data["entries"]:
        raise ValueError(f"more survives than there is in {data}")
    return Cell(data["language"], Role(data["role"]), Site(stack, layer, name), *numbers[1:])
