"""What a search for a direction came to, as a value: trials, the best one, and its gain on lines it never saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lingraft.atoms import Direction
from lingraft.direction import Recipe
from lingraft.library.mixing import Mixing
from lingraft.measure.classes import chrf_of, statistics
from lingraft.measure.contrast import interval
from lingraft.measure.labels import probability
from lingraft.measure.significance import holm
from lingraft.probe.search import Trial, best
from lingraft.probe.search_judge import Lines, Verdict
from lingraft.probe.search_space import Space

_SAMPLES = 10_000  # so many that a correction over hundreds of directions leaves what can be sure
_SEED = 12345


@dataclass(frozen=True)
class Gain:
    """chrF++ of the best candidate minus that of what is there now, on unseen lines (paired bootstrap)."""

    difference: float
    low: float
    high: float
    p: float
    lines: int
    adjusted: float
    """p, corrected for the number of directions that were searched together (see `corrected`)."""


@dataclass(frozen=True)
class Found:
    """The outcome of a search."""

    direction: Direction
    space: Space
    sampler: str
    objective: str
    seen: int
    """Number of the lines that were searched on."""
    trials: tuple[Trial, ...]
    before: Mixing
    """How the direction was made until now."""
    method: str
    """By which the candidates were merged."""
    unseen: tuple[Verdict, Verdict]
    """The verdicts of before and best on the lines that were kept back."""
    gain: Gain

    @property
    def best(self) -> Trial:
        """The trial of the largest value."""
        return best(self.trials)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the best trial."""
        return self.space.recipe(self.best.point)

    def mixing(self, testset: str, versions: str) -> Mixing:
        """Return the best candidate, with how it was found.

        Args:
            testset: Where the lines come from.
            versions: Of the adapters.

        Returns:
            What to store.
        """
        gain, (_, verdict) = self.gain, self.unseen
        found = {
            "chrf": f"{verdict.chrf:.2f} on {gain.lines} lines that the search did not see",
            "gain": f"{gain.difference:+.2f}, 95 % from {gain.low:+.2f} to {gain.high:+.2f}, "
            f"p {probability(gain.adjusted)}",
            "off target": f"{verdict.off_target:.1f} %",
            "search": f"{self.sampler} over {self.space.over} by {self.objective}, {len(self.trials)} trials, "
            f"{self.seen} lines",
            "testset": testset,
            "adapters": versions,
        }
        return replace(self.before, via="direct", recipe=self.recipe, method=self.method, found=found)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "direction": str(self.direction),
            "over": self.space.over,
            "sampler": self.sampler,
            "objective": self.objective,
            "method": self.method,
            "lines": {"seen": self.seen, "unseen": self.gain.lines},
            "trials": [{"point": dict(trial.point), **_verdict(trial.verdict)} for trial in self.trials],
            "best": dict(self.best.point),
            "unseen": {"before": _verdict(self.unseen[0]), "best": _verdict(self.unseen[1])},
            "gain": vars(self.gain),
        }


def corrected(found: Sequence[Found]) -> list[Found]:
    """Return the outcomes of several directions with p-values that are corrected for their number (Holm 1979)."""
    values = holm([each.gain.p for each in found])
    return [replace(each, gain=replace(each.gain, adjusted=p)) for each, p in zip(found, values, strict=True)]


def to_json(found: Sequence[Found]) -> str:
    """Return the outcomes of several directions as JSON."""
    return json.dumps({"format": 1, "directions": [each.to_dict() for each in found]}, indent=1) + "\n"


def gain(before: Verdict, after: Verdict, lines: Lines) -> Gain:
    """Return by how much translations are better than others of the same lines.

    Args:
        before: With the outputs of what is compared with.
        after: With the outputs of interest.
        lines: Their references.

    Returns:
        The difference in chrF++, with what resampling the lines says of it.
    """
    counts = [statistics(verdict.outputs, lines.references) for verdict in (after, before)]
    drawn = np.random.default_rng(_SEED).multinomial(len(lines), np.full(len(lines), 1 / len(lines)), size=_SAMPLES)
    mean = float(chrf_of(counts[0].sum(0)) - chrf_of(counts[1].sum(0)))
    low, high, p = interval(mean, chrf_of(drawn @ counts[0]) - chrf_of(drawn @ counts[1]))
    return Gain(mean, low, high, p, len(lines), p)


def _verdict(verdict: Verdict) -> dict[str, float | None]:
    return {"value": verdict.value, "chrf++": verdict.chrf, "off_target": verdict.off_target}
