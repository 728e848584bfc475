"""One measured direction as a value, and its strict JSON."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from lingraft.atoms import ConfigError, DataError

VIAS = ("base", "direct", "pivot")
"""The base alone, the composed adapters, and two steps through English with the same adapters."""

GROUPS = ("without_pivot", "into_pivot", "out_of_pivot")
"""The directions by where the pivot language (English) stands."""


def require_vias(vias: Sequence[str]) -> None:
    """Check the vias that somebody asks for.

    Args:
        vias: Any of `VIAS`, in any order.

    Raises:
        ConfigError: If there is none, or one that isn't known.
    """
    if not vias:
        raise ConfigError(f"`via` must be among {', '.join(VIAS)}, but is empty.")
    for via in vias:
        if via not in VIAS:
            near = difflib.get_close_matches(via, VIAS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"`via` must be among {', '.join(VIAS)}, but holds {via!r} instead.{hint}")


@dataclass(frozen=True)
class Row:
    """One direction, translated in one way, scored.

    Attributes:
        source: Code of the source language.
        target: Code of the target language.
        via: One of `VIAS`.
        chrf: chrF++, 0 … 100.
        bleu: BLEU or spBLEU (the signature says which), 0 … 100.
        off_target: Percentage of the outputs that are blank or in another language than the target.
        lines: Number of sentences.
        signature: sacreBLEU's signature of chrF++.
        bleu_signature: sacreBLEU's signature of BLEU.
    """

    source: str
    target: str
    via: str
    chrf: float
    bleu: float
    off_target: float
    lines: int
    signature: str
    bleu_signature: str

    def group(self, pivot: str) -> str:
        """Return which of `GROUPS` the direction belongs to."""
        return "into_pivot" if self.target == pivot else "out_of_pivot" if self.source == pivot else "without_pivot"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as in the JSON, where chrF++ has its own name."""
        return {_JSON_NAME.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Any) -> Row:
        """Read what `to_dict` gave.

        Args:
            data: A decoded JSON object.

        Returns:
            The row.

        Raises:
            DataError: If a field is missing, unknown, of the wrong type or out of range.
        """
        names = {_JSON_NAME.get(f.name, f.name): f.name for f in fields(cls)}
        if not isinstance(data, dict) or data.keys() != names.keys():
            raise malformed("a result", f"an object with the fields {', '.join(names)}")
        values = {names[key]: value for key, value in data.items()}
        for name in ("chrf", "bleu", "off_target"):
            if not is_number(values[name]) or not 0 <= values[name] <= 100:
                raise malformed(f"`{_JSON_NAME.get(name, name)}` of a result", "a number from 0 to 100")
            values[name] = float(values[name])
        if isinstance(values["lines"], bool) or not isinstance(values["lines"], int) or values["lines"] < 1:
            raise malformed("`lines` of a result", "a count")
        if not all(isinstance(values[n], str) for n in ("source", "target", "signature", "bleu_signature")):
            raise malformed("the languages and signatures of a result", "text")
        if values["via"] not in VIAS:
            raise malformed("`via` of a result", f"one of {', '.join(VIAS)}")
        return cls(**values)


def is_number(value: Any) -> bool:
    """Whether a decoded JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def malformed(what: str, must: str) -> DataError:
    """Return the error about a part of a results file."""
    return DataError(f"{what} must be {must}, but is not. Measure again, or get the file again.")


_JSON_NAME = {"chrf": "chrf++"}
