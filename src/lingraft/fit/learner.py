"""What trains as one: its weights, rows and schedule, and when it stops."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from lingraft.atoms import AdapterName, Direction
from lingraft.base import Encoded
from lingraft.delta import Adapter, Route
from lingraft.fit.seed import seeded
from lingraft.fit.settings import Training
from lingraft.fit.weights import Weights


class Row(NamedTuple):
    """One encoded sentence pair and its direction."""

    direction: Direction
    text: Encoded


@dataclass(frozen=True)
class Trained:
    """An adapter and how it came to be."""

    adapter: Adapter
    dev_loss: float
    """Mean cross-entropy per target token on the dev rows, in nats."""
    best_epoch: int
    steps: int
    rows: int
    """Rows of text that it learned from."""


class Learner(ABC):
    """Everything that one training needs, and nothing that it shares with another.

    Attributes:
        name: What it is called in messages and checkpoints.
        settings: Its regime.
        data: The training rows.
        dev: The rows that it is judged on.
        weights: What it trains, by name.
        files: What was kept on the disk when its rows were made, and is of no use after it.
    """

    def __init__(
        self, name: str, settings: Training, data: Sequence[Row], dev: Sequence[Row], weights: Mapping[str, Weights]
    ) -> None:
        """Stand before the first step."""
        self.name = name
        self.settings = settings
        self.data = list(data)
        self.dev = list(dev)
        self.weights = dict(weights)
        self.files: tuple[Path, ...] = ()
        self.step = 0
        self.bad_epochs = 0
        self.last_rate = 0.0
        self.last_loss = math.inf
        self.best_loss = math.inf
        self.best_epoch = 0
        self.stopped = False
        self._order: tuple[int, list[int]] = (-1, [])

    @abstractmethod
    def routes(self, directions: Sequence[Direction]) -> list[Route]:
        """Return the routes of some directions for one forward pass."""

    @abstractmethod
    def rate(self) -> float:
        """Return the learning rate of the coming step."""

    @abstractmethod
    def update(self, tokens: Mapping[Direction, int]) -> None:
        """Take one step from the gradients of the mean loss per target token.

        Args:
            tokens: The target tokens of each direction that the step saw.
        """

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 – most have nothing to do
        """Do what is due before an epoch; epochs are counted from 1."""

    def finish(self) -> None:  # noqa: B027 – most have nothing to do
        """Do what is due once the last step is taken."""

    def trained(self) -> dict[AdapterName, Trained]:
        """Return the adapters at their best epoch."""
        return {}

    def identity(self) -> tuple[object, ...]:
        """Return all that decides the result besides settings and base, for the name of the run."""
        return (self.name, self.data, self.dev)

    @property
    def steady(self) -> bool:
        """Whether the routes of a direction are the same objects within a step, and as long as they stay the same."""
        return False

    @property
    def comparable(self) -> bool:
        """Whether dev losses may be compared from now on: not while a model is still being made smaller."""
        return True

    @property
    def epoch(self) -> int:
        """The epoch of the step that was taken last, counted from 1."""
        return -(-self.step // self.steps_per_epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which as many rows are seen as there are."""
        return -(-len(self.data) // self.settings.rows)

    @property
    def total_steps(self) -> int:
        """Steps until the end of the schedule."""
        return self.settings.epochs * self.steps_per_epoch

    @property
    def past(self) -> int:
        """Steps that were taken, or that will not be since it stopped early."""
        return self.total_steps if self.stopped else self.step

    @property
    def done(self) -> bool:
        """Whether it trains no more."""
        return self.stopped or self.step >= self.total_steps

    def rows(self) -> list[Row]:
        """Return the rows of the coming step, a pure function of (seed, epoch, step)."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, self.order(epoch)
        size = self.settings.rows
        return [self.data[i] for i in self._order[1][position * size : (position + 1) * size]]

    def order(self, epoch: int) -> list[int]:
        """Return which rows an epoch sees, and in which order; epochs are counted from 0 here."""
        generator = seeded(self.settings.seed, "order", self.name, epoch)
        return torch.randperm(len(self.data), generator=generator).tolist()

    def judge(self, dev_loss: float) -> None:
        """Keep the weights if the dev loss is the best so far; stop after ``patience`` worse epochs."""
        self.last_loss = dev_loss
        if dev_loss < self.best_loss or not self.comparable:
            self.best_loss = dev_loss if self.comparable else math.inf
            self.bad_epochs, self.best_epoch = 0, self.epoch
            for weights in self.weights.values():
                weights.keep()
        else:
            self.bad_epochs += 1
            self.stopped = self.bad_epochs >= self.settings.patience
