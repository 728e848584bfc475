"""What the logit lens found, as a value with its JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lingraft.atoms import ENGLISH, DataError, Direction


@dataclass(frozen=True)
class Curve:
    """The tokens of one language in one system; one value per layer, the first one for the embeddings."""

    probability: tuple[float, ...]
    """Mean over the positions."""
    rank: tuple[float, ...]
    """Median over the positions; 1 is the top token."""


@dataclass(frozen=True)
class Reading:
    """What one system says.

    Attributes:
        name: What it is called.
        curves: Language → the curve of its tokens; the target language stands first.
        ahead: Per layer the share of positions where the target's token is likelier than the English one;
            empty where English is the target.
        top: Language → per layer the share of the top tokens that belongs to it.
    """

    name: str
    curves: Mapping[str, Curve]
    ahead: tuple[float, ...]
    top: Mapping[str, tuple[float, ...]]

    @property
    def crossing(self) -> int | None:
        """The first layer from which on the target's mean probability exceeds that of English; None: there is none.

        0 is the embeddings, n the output of the nth layer.
        """
        target = next(iter(self.curves))
        if ENGLISH not in self.curves or target == ENGLISH:
            return None
        pairs = zip(self.curves[target].probability, self.curves[ENGLISH].probability, strict=True)
        behind = [layer for layer, (own, english) in enumerate(pairs) if own <= english]
        first = behind[-1] + 1 if behind else 0
        return first if first < len(self.curves[target].probability) else None


@dataclass(frozen=True)
class Lens:
    """What the logit lens found in one direction.

    Attributes:
        direction: What was translated.
        systems: One reading for each, in the order given.
        positions: Number of places looked at.
        sentences: Number of sentences read, of which some may have had no such place.
        skipped: Sentences left out, since they are longer than the base's context.
        base: The base's id.
        testset: Where the sentences come from.
    """

    direction: Direction
    systems: tuple[Reading, ...]
    positions: int
    sentences: int
    skipped: int = 0
    base: str = ""
    testset: str = ""

    @property
    def layers(self) -> int:
        """The number of the last layer."""
        return len(next(iter(self.systems[0].curves.values())).probability) - 1

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages whose tokens were looked for, the target first."""
        return tuple(self.systems[0].curves)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader of the numbers must know."""
        found = [
            f"{self.positions} places in {self.sentences} sentences where a word begins and all its counterparts are "
            "known and begin otherwise. The top token's language is judged by counts in the test set, so only its "
            "languages can be named."
        ]
        if self.skipped:
            found.append(f"{self.skipped} sentences are longer than the base's context and were left out.")
        if self.positions < 100:
            found.append("Fewer than 100 places: the curves say little. Give more sentences.")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, with the crossing layer of each system."""
        data = asdict(self)
        for plain, reading in zip(data["systems"], self.systems, strict=True):
            plain["crossing"] = reading.crossing
        return {"format": 1, **data, "direction": list(self.direction)}

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Lens:
        """Read what `to_json` wrote; the crossing layers are computed anew.

        Args:
            text: The JSON.

        Returns:
            The same value.

        Raises:
            DataError: If the text is not exactly that.
        """
        try:
            data = json.loads(text)
            if data.pop("format") != 1:
                raise ValueError("it has another format")
            if data.keys() != set(cls.__dataclass_fields__):
                raise ValueError("it has other fields")
            source, target = data["direction"]
            systems = tuple(map(_reading, data["systems"]))
            if not systems or len({_shape(each) for each in systems}) > 1:
                raise ValueError("its systems differ in their languages or layers")
            lens = cls(**{**data, "direction": Direction(source, target), "systems": systems})
            if not all(type(n) is int and n >= 0 for n in (lens.positions, lens.sentences, lens.skipped)):
                raise ValueError("a count is none")
            if not all(isinstance(word, str) for word in (source, target, lens.base, lens.testset)):
                raise ValueError("a name is no text")
            return lens
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(
                f"the lens must be JSON as `Lens.to_json` writes it, but is not ({error!r}). Write it anew."
            ) from error


def _reading(data: Mapping[str, Any]) -> Reading:
    """Read one system strictly; anything wrong is a ValueError, TypeError, KeyError or AttributeError."""
    if data.keys() != {*Reading.__dataclass_fields__, "crossing"} or not isinstance(data["name"], str):
        raise ValueError(f"{data!r:.80} is no system")
    curves = {}
    for code, curve in data["curves"].items():
        if curve.keys() != set(Curve.__dataclass_fields__):
            raise ValueError(f"{curve!r:.80} is no curve")
        curves[code] = Curve(_numbers(curve["probability"]), _numbers(curve["rank"]))
    top = {code: _numbers(shares) for code, shares in data["top"].items()}
    reading = Reading(data["name"], curves, _numbers(data["ahead"]), top)
    lengths = {len(each) for curve in curves.values() for each in (curve.probability, curve.rank)}
    lengths |= {len(shares) for shares in top.values()} | ({len(reading.ahead)} if reading.ahead else set())
    if len(lengths) != 1 or min(lengths) < 1:
        raise ValueError("its layers differ")
    if bool(reading.ahead) != (ENGLISH in list(curves)[1:]):
        raise ValueError("`ahead` does not fit its languages")
    return reading


def _shape(reading: Reading) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    return tuple(reading.curves), tuple(reading.top), len(next(iter(reading.curves.values())).rank)


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(type(n) in (int, float) and math.isfinite(n) for n in values):
        raise ValueError(f"{values!r:.80} are no numbers")
    return tuple(map(float, values))
