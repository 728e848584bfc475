"""What was measured, as a value: all rows, their averages, and the JSON of both."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lingraft.atoms import ENGLISH, DataError
from lingraft.atoms.durable import write_file
from lingraft.library.disk import reported
from lingraft.measure.contrast import Contrast
from lingraft.measure.row import GROUPS, VIAS, Row, is_number, malformed


@dataclass(frozen=True)
class Results:
    """All rows of a measurement and how they came about.

    Attributes:
        rows: One per direction and via.
        languages: Codes in the order of the matrix.
        pivot: Code of the language that stands in the middle of the pivot (English).
        testset: Where the sentences come from.
        identifier: ``{"languages": [...], "accuracy": {code: percent}}``, how well the language identifier
            does on the references; an off-target rate means something only beside it.
        versions: Versions of the software.
        command: The command that measured.
        seconds: Time per step.
        notes: Sentences that a reader must know.
        contrasts: Whether direct and pivot really differ, where both were measured; the last one is of the means.
        outputs: Translations per (source, target, via); not part of the JSON, see `write_outputs`.
    """

    rows: tuple[Row, ...]
    languages: tuple[str, ...]
    pivot: str = ENGLISH
    testset: str = ""
    identifier: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    outputs: Mapping[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def vias(self) -> tuple[str, ...]:
        """The vias that were measured, in the order of `VIAS`."""
        return tuple(via for via in VIAS if any(row.via == via for row in self.rows))

    def row(self, source: str, target: str, via: str) -> Row | None:
        """Return the row of a direction and via, if it was measured."""
        return next((row for row in self.rows if (row.source, row.target, row.via) == (source, target, via)), None)

    def group(self, name: str, via: str) -> tuple[Row, ...]:
        """Return the rows of one of `GROUPS` and one via."""
        return tuple(row for row in self.rows if row.via == via and row.group(self.pivot) == name)

    def with_notes(self, *notes: str) -> Results:
        """Return the same results with more notes at the end."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))

    @property
    def summary(self) -> dict[str, Any]:
        """Averages per group and via, and the ratio of direct to pivot, computed from the rows.

        ``{"without_pivot": {"direct": {"chrf++", "bleu", "off_target", "directions"}, …}, …,
        "ratio_direct_pivot"}``; the ratio is that of the two mean chrF++ over the directions that have both,
        or None.
        """
        result: dict[str, Any] = {}
        for name in GROUPS:
            groups = {via: self.group(name, via) for via in self.vias}
            result[name] = {via: _averages(rows) for via, rows in groups.items() if rows}
        direct = {(row.source, row.target): row.chrf for row in self.group("without_pivot", "direct")}
        pivot = {(row.source, row.target): row.chrf for row in self.group("without_pivot", "pivot")}
        both = direct.keys() & pivot.keys()
        whole = math.fsum(pivot[d] for d in both)
        result["ratio_direct_pivot"] = round(math.fsum(direct[d] for d in both) / whole, 4) if whole else None
        return result

    def to_json(self) -> str:
        """Return everything but the translations as JSON."""
        data = {
            "format": 1,
            "results": [row.to_dict() for row in self.rows],
            "summary": self.summary,
            **({"contrasts": [each.to_dict() for each in self.contrasts]} if self.contrasts else {}),
            **{name: _plain(getattr(self, name)) for name in _TYPES},
        }
        return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Results:
        """Read what `to_json` wrote; the summary is computed anew.

        Args:
            text: The JSON.

        Returns:
            The results, without translations.

        Raises:
            DataError: If the text is not exactly that.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise malformed("the results", f"JSON ({error})") from error
        expected = {"format", "results", "summary", *_TYPES}
        if not isinstance(data, dict) or data.keys() - {"contrasts"} != expected or data["format"] != 1:
            raise malformed("the results", f"an object of format 1 with the fields {', '.join(sorted(expected))}")
        for name, right in _TYPES.items():
            if not right(data[name]):
                raise malformed(f"`{name}`", "as `lingraft measure --json` writes it")
        for name in ("results", "contrasts"):
            if not isinstance(data.get(name, []), list):
                raise malformed(f"`{name}`", "a list")
        values: dict[str, Any] = {
            name: tuple(data[name]) if isinstance(data[name], list) else data[name] for name in _TYPES
        }
        contrasts = tuple(map(Contrast.from_dict, data.get("contrasts", ())))
        return cls(rows=tuple(map(Row.from_dict, data["results"])), contrasts=contrasts, **values)

    def write(self, path: Path | str) -> None:
        """Write the JSON in one step: `path` holds all of it or what it held before."""
        write_text(path, self.to_json())

    def write_outputs(self, path: Path | str) -> None:
        """Write the translations, one JSON object per line: source, target, via, line (from 1), text.

        Args:
            path: The file.

        Raises:
            DataError: If the translations were not kept.
        """
        if not self.outputs:
            raise DataError("`outputs` must hold translations, but is empty instead. Measure with keep_outputs=True.")
        lines = [
            {"source": source, "target": target, "via": via, "line": number, "text": text}
            for (source, target, via), texts in self.outputs.items()
            for number, text in enumerate(texts, 1)
        ]
        write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def write_text(path: Path | str, text: str) -> None:
    """Write a file atomically and durably as UTF-8."""
    with reported(Path(path)):
        write_file(Path(path), text.encode("utf-8"))


def _averages(rows: tuple[Row, ...]) -> dict[str, float | int]:
    def mean(values: Iterable[float]) -> float:
        return round(math.fsum(values) / len(rows), 4)

    return {
        "chrf++": mean(row.chrf for row in rows),
        "bleu": mean(row.bleu for row in rows),
        "off_target": mean(row.off_target for row in rows),
        "directions": len(rows),
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_identifier(value: Any) -> bool:
    return isinstance(value, dict) and (
        not value
        or (
            value.keys() == {"languages", "accuracy"}
            and _are_texts(value["languages"])
            and isinstance(value["accuracy"], dict)
            and all(map(is_number, value["accuracy"].values()))
        )
    )


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "languages": _are_texts,
    "pivot": lambda value: isinstance(value, str),
    "testset": lambda value: isinstance(value, str),
    "identifier": _is_identifier,
    "versions": lambda value: isinstance(value, dict) and all(isinstance(v, str) for v in value.values()),
    "command": lambda value: isinstance(value, str),
    "seconds": lambda value: isinstance(value, dict) and all(map(is_number, value.values())),
    "notes": _are_texts,
}
