"""The one training loop: all learners on one resident base, each as if it were alone."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lingraft.atoms import AdapterName, TrainingError
from lingraft.base import Base
from lingraft.corpus import Pairs, split_dev
from lingraft.delta import Adapter, Bank, Routing
from lingraft.fit.batch import collate, losses, pack
from lingraft.fit.checkpoint import Checkpoints, run_id
from lingraft.fit.learner import Learner
from lingraft.fit.memory import keep_freed_memory
from lingraft.fit.modular import Modular
from lingraft.fit.report import Reporter, Silent

DEV_SHARE, DEV_ROWS = 0.05, 400  # of each text, where no dev text is given


@dataclass(frozen=True)
class Trained:
    """An adapter and how it came to be."""

    adapter: Adapter
    dev_loss: float
    """Mean cross-entropy per target token on the dev rows, in nats."""
    best_epoch: int
    steps: int
    rows: int


@dataclass(frozen=True)
class Run:
    """The result of a training run."""

    trained: dict[AdapterName, Trained]
    checkpoints: Checkpoints | None

    @property
    def bank(self) -> Bank:
        """The trained adapters."""
        return Bank(item.adapter for item in self.trained.values())


def fit(
    base: Base,
    corpus: Sequence[Pairs],
    regime: Modular,
    *,
    dev: Sequence[Pairs] | None = None,
    work: Path | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Train the adapters that ``regime`` makes of the corpus, all in one run.

    Args:
        base: The frozen base.
        corpus: Parallel text, each language paired with English.
        regime: What is trained and how.
        dev: Held-out text of the same languages, for early stopping; None: some rows of the corpus.
        work: Folder for checkpoints; the same call with the same folder goes on where it stopped.
            None: no checkpoints.
        reporter: Is told about progress.

    Returns:
        The adapters, each at its best epoch by dev loss.

    Raises:
        TrainingError: If a loss is not finite, a checkpoint can't be written, or the run was asked to stop.
    """
    reporter = reporter or Silent()
    if dev is None:
        corpus, dev = hold_out(corpus, regime.seed)
    if base.device.type == "cpu":
        keep_freed_memory()
    tasks = regime.tasks(base, corpus, dev)
    learners = [Learner(base, task, regime) for task in tasks]
    checkpoints = None if work is None else Checkpoints(work / run_id(base, regime, tasks))
    step = 0 if checkpoints is None else checkpoints.restore(learners)
    reporter.start(sum(learner.total_steps for learner in learners), sum(learner.step for learner in learners))
    with _plain_attention(base), Routing(base) as routing, _stop_signals() as stop:
        while active := [learner for learner in learners if not learner.done]:
            train_step(base, routing, active, reporter)
            step += 1
            ended = [learner for learner in active if learner.step % learner.steps_per_epoch == 0]
            for learner in ended:
                learner.judge(dev_loss(base, routing, learner))
                reporter.epoch(learner)
            last = all(learner.done for learner in learners)
            if checkpoints is not None and (stop or last or ended or step % regime.checkpoint == 0):
                checkpoints.save(learners, step)
            if stop and not last:
                kept = "The run is kept; run the same command to go on." if checkpoints else "Nothing was kept."
                raise TrainingError(f"training was stopped by {stop[0]} at step {step}. {kept}")
    reporter.finish()
    return Run(
        {
            learner.task.name: Trained(
                learner.adapter(), learner.best_loss, learner.best_epoch, learner.step, len(learner.task.rows)
            )
            for learner in learners
        },
        checkpoints,
    )


def hold_out(corpus: Sequence[Pairs], seed: int) -> tuple[list[Pairs], list[Pairs]]:
    """Return the corpus without some rows of each text, and those rows as dev text."""
    halves = [split_dev(pairs, DEV_SHARE, DEV_ROWS, seed) for pairs in corpus]
    return [train for train, _ in halves], [dev for _, dev in halves]


def train_step(base: Base, routing: Routing, active: Sequence[Learner], reporter: Reporter) -> None:
    """Take one step of every active learner: one optimiser step each, over its own rows.

    The rows of all learners pass the base together, in as many batches as the token budget asks for.
    Each learner's loss is the mean over its own tokens, so no learner can tell who else was there.

    Args:
        base: The frozen base.
        routing: Sends each row through the adapter of its learner.
        active: The learners that take a step, at least one, all of one regime.
        reporter: Is told each learner's loss, in nats per target token.

    Raises:
        TrainingError: If a loss is not finite.
    """
    regime = active[0].regime
    rows = [learner.rows() for learner in active]
    tokens = [sum(len(row.answer) for row in mine) for mine in rows]
    sums = [0.0] * len(active)
    for members in pack(rows, regime.tokens):
        batch = collate(base, members)
        routing.set([(active[i].route, count) for i, count in batch.groups], batch.span)
        with _autocast(base, regime):
            parts = losses(base, batch, regime.label_smoothing)
        torch.stack([part / tokens[i] for (i, _), part in zip(batch.groups, parts, strict=True)]).sum().backward()
        for (i, _), part in zip(batch.groups, parts, strict=True):
            sums[i] += part.item()
    for i, learner in enumerate(active):
        loss = sums[i] / tokens[i]
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss of {learner.task.name} must be finite, but is {loss} at step {learner.step}. "
                "Lower fit.learning_rate; the last checkpoint is kept."
            )
        learner.update()
        reporter.step(learner, loss)


@torch.no_grad()
def dev_loss(base: Base, routing: Routing, learner: Learner) -> float:
    """Return the mean cross-entropy per target token over the learner's dev rows, in nats."""
    total, tokens = 0.0, 0
    for members in pack([learner.task.dev], learner.regime.tokens):
        batch = collate(base, members)
        routing.set([(learner.route, len(members))], batch.span)
        with _autocast(base, learner.regime):
            total += sum(part.item() for part in losses(base, batch))
        tokens += sum(batch.answers)
    if not math.isfinite(total):
        raise TrainingError(
            f"the dev loss of {learner.task.name} must be finite, but is {total}. Lower fit.learning_rate."
        )
    return total / tokens


def _autocast(base: Base, regime: Modular) -> torch.autocast:
    return torch.autocast(base.device.type, torch.bfloat16, enabled=regime.precision == "bf16")


@contextmanager
def _plain_attention(base: Base) -> Iterator[None]:
    """Use plain attention while training on a CPU: the fused one's backward is slow on short rows."""
    model: Any = base.model
    before = model.config._attn_implementation
    if base.device.type != "cpu" or before == "eager":
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def _stop_signals() -> Iterator[list[str]]:
    """Collect SIGINT and SIGTERM, so that a step is finished and saved; a second one stops at once."""
    caught: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def note(number: int, _: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(signal.Signals(number).name)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
