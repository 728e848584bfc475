"""Who is told about a training run: nobody, or TensorBoard; the command line adds a progress bar."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lingraft.atoms import ConfigError

if TYPE_CHECKING:
    from lingraft.fit.learner import Learner


class Reporter(Protocol):
    """Receives the events of a run. Steps are counted over all learners together."""

    def prepare(self, what: str, done: int, total: int) -> None:
        """Say that before training ``done`` of ``total`` rows of some work are ready."""

    def start(self, total: int, done: int) -> None:
        """Say that a run of ``total`` steps begins or goes on after ``done`` steps."""

    def step(self, learner: Learner, loss: float) -> None:
        """Say that a learner took a step; ``loss`` is its mean per target token."""

    def epoch(self, learner: Learner) -> None:
        """Say that a learner ended an epoch and was judged on its dev rows."""

    def finish(self) -> None:
        """Say that the run is over."""


class Silent:
    """Tells nobody."""

    def prepare(self, what: str, done: int, total: int) -> None:
        """Do nothing."""

    def start(self, total: int, done: int) -> None:
        """Do nothing."""

    def step(self, learner: Learner, loss: float) -> None:
        """Do nothing."""

    def epoch(self, learner: Learner) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class TensorBoard(Silent):
    """Writes losses and learning rates as TensorBoard curves."""

    def __init__(self, folder: Path) -> None:
        """Open a log in ``folder`` at the first event: of several processes, only the one that is told writes.

        Args:
            folder: Where the event files go; made where it is missing.

        Raises:
            ConfigError: If the package tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError("TensorBoard is not installed. Run `pip install tensorboard`.") from error
        self._make, self._folder = SummaryWriter, folder

    @cached_property
    def _writer(self) -> Any:
        return self._make(str(self._folder))

    def step(self, learner: Learner, loss: float) -> None:
        """Write the training loss and the learning rate."""
        self._writer.add_scalar(f"loss/{learner.name}", loss, learner.step)
        self._writer.add_scalar(f"rate/{learner.name}", learner.last_rate, learner.step)

    def epoch(self, learner: Learner) -> None:
        """Write the best dev loss."""
        self._writer.add_scalar(f"dev/{learner.name}", learner.best_loss, learner.step)

    def finish(self) -> None:
        """Flush and close."""
        self._writer.close()


class Several:
    """Tells several reporters in turn."""

    def __init__(self, *reporters: Reporter) -> None:
        """Tell ``reporters``."""
        self._reporters = reporters

    def prepare(self, what: str, done: int, total: int) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.prepare(what, done, total)

    def start(self, total: int, done: int) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.start(total, done)

    def step(self, learner: Learner, loss: float) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.step(learner, loss)

    def epoch(self, learner: Learner) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.epoch(learner)

    def finish(self) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.finish()
