"""What the regimes have in common that train on all directions at once: rows, sampling, schedule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from pydantic import Field

from lingraft.atoms import ConfigError, DataError, Direction
from lingraft.base import Base
from lingraft.corpus import Pairs
from lingraft.fit.fresh import fitting
from lingraft.fit.learner import Learner, Row
from lingraft.fit.seed import seeded
from lingraft.fit.settings import Training


class Multidirectional(Training):
    """Settings of a regime that sees all directions in one stream of rows."""

    epochs: int = Field(default=15, ge=1)
    """Passes over the training rows."""
    rows: int = Field(default=256, ge=1)
    """Training rows of a step."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Highest learning rate of AdamW."""
    label_smoothing: float = Field(default=0.2, ge=0, lt=1)
    """Share of the probability that is spread over the vocabulary."""
    patience: int = Field(default=3, ge=1)
    """Epochs without a better dev loss after which training stops."""
    warmup: int = Field(default=1, ge=1)
    """Steps in which the rate rises; after that it falls with the inverse square root of the step."""
    temperature: float = Field(default=5.0, ge=1)
    """A direction with n of N rows is drawn with probability proportional to (n / N)^(1 / temperature)."""
    dropout: bool = True
    """Whether the base drops out in training, as its own config says."""

    @property
    def drops_out(self) -> bool:
        """Whether the base drops out."""
        return self.dropout

    @property
    def together(self) -> bool:
        """All texts train the same weights."""
        return True


class MultidirectionalLearner(Learner):
    """Trains on rows of many directions, sampled with a temperature, at a rate that falls as 1 / √step."""

    settings: Multidirectional

    def rate(self) -> float:
        """Return the learning rate of the coming step (Vaswani et al. 2017, eq. 3, scaled to its peak)."""
        step, warm = self.step + 1, self.settings.warmup
        return self.settings.learning_rate * min(step / warm, (warm / step) ** 0.5)

    def order(self, epoch: int) -> list[int]:
        """Return the rows of an epoch: as many as there are, directions drawn by temperature.

        Each direction's rows are gone through in a shuffled order, again and again where it is small.
        """
        members: dict[Direction, list[int]] = {}
        for i, row in enumerate(self.data):
            members.setdefault(row.direction, []).append(i)
        quotas = shares({where: len(rows) for where, rows in members.items()}, self.settings.temperature)
        chosen: list[int] = []
        for where, quota in quotas.items():
            rows, round_ = members[where], 0
            while quota > 0:
                generator = seeded(self.settings.seed, "order", epoch, where, round_)
                chosen += [rows[i] for i in torch.randperm(len(rows), generator=generator)[:quota].tolist()]
                quota, round_ = quota - len(rows), round_ + 1
        generator = seeded(self.settings.seed, "order", epoch)
        return [chosen[i] for i in torch.randperm(len(chosen), generator=generator).tolist()]


def shares(sizes: Mapping[Direction, int], temperature: float) -> dict[Direction, int]:
    """Return how many rows of an epoch each direction gets; together as many as there are rows.

    Args:
        sizes: The number of rows of each direction.
        temperature: 1 keeps the proportions, a large one makes all directions alike.

    Returns:
        Whole numbers by largest remainder; each direction gets at least 1.
    """
    total = sum(sizes.values())
    powers = {where: (size / total) ** (1 / temperature) for where, size in sizes.items()}
    exact = {where: total * power / sum(powers.values()) for where, power in powers.items()}
    quotas = {where: max(1, int(share)) for where, share in exact.items()}
    for where in sorted(exact, key=lambda w: (int(exact[w]) - exact[w], w))[: max(0, total - sum(quotas.values()))]:
        quotas[where] += 1
    return quotas


def require_own_tokens(base: Base, languages: Iterable[str], what: str) -> None:
    """Check that no language borrows a token, for a regime that has no adapter to make it the language's own.

    Args:
        base: The base.
        languages: Those of the text.
        what: The regime, as the message names it.

    Raises:
        ConfigError: If one does.
    """
    if borrowed := sorted(set(languages) & set(base.borrowed)):
        raise ConfigError(
            f"{what} must be of languages that have tokens in the base, but {', '.join(borrowed)} borrow theirs: "
            "only adapters of their own can keep them apart from their relatives. Leave these languages out."
        )


def both_ways(base: Base, corpus: Sequence[Pairs], argument: str = "corpus") -> list[Row]:
    """Return the rows of both directions of each text, those that fit the base's window.

    Args:
        base: The base, whose format is used.
        corpus: Texts of two languages each.
        argument: What the caller of ``fit`` gave them as.

    Returns:
        The rows, text by text.

    Raises:
        DataError: If there is no text, or no row of one fits.
    """
    rows: list[Row] = []
    for pairs in corpus:
        for source, target in ((pairs.a, pairs.b), (pairs.b, pairs.a)):
            direction = Direction(source, target)
            encoded = base.format.encode(direction, pairs.of(source), pairs.of(target))
            rows += fitting(base, [Row(direction, row) for row in encoded], pairs.origin)
    if not rows:
        raise DataError(f"`{argument}` must hold text of at least two languages, but holds none.")
    return rows
