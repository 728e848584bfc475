"""The results of runs/modular_study.py as values: means, directions, and paired comparisons."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from lingraft.atoms import ENGLISH, Direction
from lingraft.corpus import TestSet, read_testset
from lingraft.measure.contrast import Contrast
from lingraft.measure.row import VIAS
from lingraft.measure.significance import contrasts

Where = tuple[str, str]
Key = tuple[str, str]
"""A result's name, and a via."""


class Numbers(NamedTuple):
    """One system by one via, over the directions without English."""

    chrf: float
    bleu: float
    off_target: float
    rows: Mapping[Where, float]
    """chrF++ of each direction."""
    off: Mapping[Where, float]

    def off_target_of(self, where: Where) -> float:
        """Return the percentage of one direction's outputs in another language."""
        return self.off[where]


class Found:
    """All results in a folder, in the order of the steps."""

    def __init__(self, out: Path) -> None:
        """Read them.

        Args:
            out: The folder that runs/modular_study.py wrote.
        """
        self.out = out
        settings = out / "settings.json"
        self.settings: dict[str, Any] = json.loads(settings.read_text()) if settings.exists() else {}
        paths = sorted((out / "results").rglob("*.json"), key=lambda path: path.stat().st_mtime)
        self.systems: dict[str, Any] = {
            str(path.relative_to(out / "results").with_suffix("")): json.loads(path.read_text(encoding="utf-8"))
            for path in paths
        }
        self._outputs: dict[Key, dict[Direction, list[str]]] = {}
        self._contrasts: dict[tuple[Key, Key], tuple[Contrast, ...]] = {}

    def vias(self, name: str) -> list[str]:
        """Return the vias by which a system was measured."""
        rows = self.systems.get(name, {}).get("results", {}).get("results", [])
        return [via for via in VIAS if any(row["via"] == via for row in rows)]

    @cached_property
    def _lines(self) -> dict[str, TestSet]:
        found = {}
        for system in self.systems.values():
            if "results" in system and system["on"] not in found:
                limit = self.settings[f"{system['on']}_limit"]
                found[system["on"]] = read_testset(system["results"]["testset"], limit=limit)
        return found

    def outputs(self, key: Key) -> dict[Direction, list[str]]:
        """Return the translations of a system by one via, without the directions with English."""
        name, via = key
        if key not in self._outputs:
            found: dict[Direction, list[str]] = {}
            with (self.out / "outputs" / f"{name}.jsonl").open(encoding="utf-8") as lines:
                for line in map(json.loads, lines):
                    where = Direction(line["source"], line["target"])
                    if line["via"] == via and ENGLISH not in where:
                        found.setdefault(where, []).append(line["text"])
            self._outputs[key] = found
        return self._outputs[key]

    def contrast(self, system: Key, baseline: Key) -> tuple[Contrast, ...] | None:
        """Return how two systems differ on the same sentences, direction by direction and in the mean.

        Args:
            system: The first one.
            baseline: The second one.

        Returns:
            The contrasts, the mean's last; None where one of them was not measured, or on other sentences.
        """
        there = all(via in self.vias(name) for name, via in (system, baseline))
        if not there or self.systems[system[0]]["on"] != self.systems[baseline[0]]["on"]:
            return None
        if (system, baseline) not in self._contrasts:
            lines = self._lines[self.systems[system[0]]["on"]].lines
            names = tuple(" ".join(key) for key in (system, baseline))
            found = contrasts(self.outputs(system), self.outputs(baseline), lines, (names[0], names[1]))
            self._contrasts[system, baseline] = found
        return self._contrasts[system, baseline]

    def plain(self) -> dict[str, Any]:
        """Return all that stands in the document's JSON: what is known of each system, and the comparisons made."""
        systems = {}
        for name, system in self.systems.items():
            kept = {key: value for key, value in system.items() if key not in ("results", "name")}
            if "results" in system:
                rows = [
                    {key: value for key, value in row.items() if not key.endswith("signature")}
                    for row in system["results"]["results"]
                ]
                kept |= {"summary": system["results"]["summary"], "rows": rows, "command": system["results"]["command"]}
            systems[name] = kept
        compared = [each.to_dict() for found in self._contrasts.values() for each in found]
        return {"settings": self.settings, "systems": systems, "contrasts": compared}


def numbers(found: Found, name: str, via: str) -> Numbers | None:
    """Return the scores of a system by one via over the directions without English; None where there are none."""
    rows = {
        (row["source"], row["target"]): row
        for row in found.systems.get(name, {}).get("results", {}).get("results", [])
        if row["via"] == via and ENGLISH not in (row["source"], row["target"])
    }
    if not rows:
        return None
    chrf, bleu, off = ({where: row[key] for where, row in rows.items()} for key in ("chrf++", "bleu", "off_target"))
    return Numbers(*(statistics.mean(each.values()) for each in (chrf, bleu, off)), chrf, off)


def words(compared: Sequence[Contrast] | None) -> str:
    """Return a comparison as a cell: the mean with its interval, and in how many directions it is sure."""
    if not compared:
        return "–"
    *each, mean = compared
    verdicts = [one.verdict for one in each]
    sure = f"{verdicts.count('better')} better, {verdicts.count('worse')} worse of {len(each)}"
    return f"{mean.difference:+.2f} ({mean.low:+.2f} … {mean.high:+.2f}); {sure}"


def signed(one: Contrast | None) -> str:
    """Return the difference in one direction, marked where it is sure."""
    return "–" if one is None else f"{one.difference:+.2f}{'' if one.verdict == 'even' else '*'}"
