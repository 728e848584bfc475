"""How two systems differ in one direction, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingraft.measure.row import is_number, malformed

ALL = "all"
"""Stands for source and target where a contrast is between means over the directions."""
LEVEL = 0.05
"""The chance of one or more false claims among all directions that is taken."""


@dataclass(frozen=True)
class Contrast:
    """The chrF++ of one system minus that of another on the same sentences.

    Attributes:
        source: Code of the source language, or "all".
        target: Code of the target language, or "all".
        system: What the first system is called, e.g. a via.
        baseline: What the second one is called.
        difference: System minus baseline.
        low: Lower end of the 95 % interval (paired bootstrap).
        high: Its upper end.
        p: How often as large a difference comes by chance, two-sided, for this direction by itself.
        adjusted: The same after Holm's correction over all directions.
    """

    source: str
    target: str
    system: str
    baseline: str
    difference: float
    low: float
    high: float
    p: float
    adjusted: float

    @property
    def verdict(self) -> str:
        """What may be said of the system after the correction: better, worse, or even."""
        if self.adjusted >= LEVEL:
            return "even"
        return "better" if self.difference > 0 else "worse"

    def to_dict(self) -> dict[str, Any]:
        """Return the contrast as in the JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Contrast:
        """Read what `to_dict` gave.

        Args:
            data: A decoded JSON object.

        Returns:
            The contrast.

        Raises:
            DataError: If a field is missing, unknown or of the wrong type.
        """
        if not isinstance(data, dict) or data.keys() != {f.name for f in fields(cls)}:
            raise malformed("a contrast", f"an object with the fields {', '.join(f.name for f in fields(cls))}")
        for f in fields(cls):
            if not (isinstance(data[f.name], str) if f.type == "str" else is_number(data[f.name])):
                raise malformed(f"`{f.name}` of a contrast", "text" if f.type == "str" else "a number")
        return cls(**data)


def interval(mean: float, drawn: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return what resamplings say of a difference.

    Args:
        mean: The difference on the rows as they are.
        drawn: [sample] that on each resampling.

    Returns:
        The ends of the 95 % interval and the two-sided p.
    """
    low, high = np.quantile(drawn, (0.025, 0.975))
    # Were there no difference, draws would lie around 0 as they now lie around the mean. As many as there
    # are plus one: what was observed is one of the outcomes.
    beyond = int(np.count_nonzero(np.abs(drawn - mean) >= abs(mean)))
    return float(low), float(high), (beyond + 1) / (len(drawn) + 1)
