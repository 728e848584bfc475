"""The one training loop: all learners on one resident base, each as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingraft.atoms import AdapterName, TrainingError
from lingraft.base import Base
from lingraft.corpus import Pairs, split_dev, split_together
from lingraft.delta import Bank, Routing
from lingraft.fit.checkpoint import Checkpoints, run_id
from lingraft.fit.learner import Learner, Trained
from lingraft.fit.memory import keep_freed_memory
from lingraft.fit.parallel import Team, team
from lingraft.fit.parallel_base import shard
from lingraft.fit.parallel_stop import Stop
from lingraft.fit.recompute import recomputing
from lingraft.fit.report import Reporter, Silent
from lingraft.fit.settings import Context, Material, Training
from lingraft.fit.step import dev_loss, train_step
from lingraft.fit.weights import side_by_side

DEV_SHARE, DEV_ROWS = 0.05, 400  # of each text, where no dev text is given


@dataclass(frozen=True)
class Run:
    """The result of a training run."""

    base: Base
    """What the adapters were trained on; under ``Full`` the tuned copy."""
    learners: Sequence[Learner]
    trained: dict[AdapterName, Trained]
    checkpoints: Checkpoints | None

    @property
    def bank(self) -> Bank:
        """The trained adapters."""
        return Bank(item.adapter for item in self.trained.values())


def fit(
    base: Base,
    corpus: Sequence[Pairs],
    regime: Training,
    *,
    dev: Sequence[Pairs] | None = None,
    context: Context | None = None,
    work: Path | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Train what ``regime`` makes of the corpus, all in one run.

    Where several processes were started (see ``parallel``), each calls this with the same arguments, and all return the
    same.

    Args:
        base: The frozen base.
        corpus: Parallel text; what languages it may pair is the regime's to say.
        regime: What is trained and how.
        dev: Held-out text of the same languages, for early stopping; None: some rows of the corpus.
        context: The library that the adapters are for; None: a new one, with no recipe of its own.
        work: Folder for checkpoints; the same call with the same folder goes on where it stopped.
            None: no checkpoints.
        reporter: Is told about progress, in the process that leads.

    Returns:
        The adapters, each at its best epoch by dev loss.

    Raises:
        ConfigError: If a setting doesn't fit, or the processes can't work together as they were started.
        TrainingError: If a loss is not finite, a checkpoint can't be written, or the run was asked to stop.
    """
    here = team()
    reporter = reporter if reporter and here.lead else Silent()
    if dev is None:
        corpus, dev = hold_out(corpus, regime.seed, together=regime.together)
    if base.device.type == "cpu":
        keep_freed_memory()
    given = base
    base, learners = _prepare(given, regime, Material(corpus, dev, context or Context(), work, reporter), here)
    side_by_side(weights for learner in learners for weights in learner.weights.values())
    name = "" if work is None and here.alone else run_id(given, regime, learners)  # a copy may be of another type
    here.require_same("the run", name, "Give all of them the same text, base and settings.")
    files = {file for learner in learners for file in learner.files}
    checkpoints = None if work is None else Checkpoints(work, name, here, files)
    with nullcontext() if checkpoints is None else checkpoints.held():
        _run(base, regime, learners, checkpoints, reporter, here)
    reporter.finish()
    trained: dict[AdapterName, Trained] = {}
    for learner in learners:
        learner.finish()
        trained |= learner.trained()
    return Run(base, learners, trained, checkpoints)


def _run(
    base: Base,
    regime: Training,
    learners: Sequence[Learner],
    checkpoints: Checkpoints | None,
    reporter: Reporter,
    here: Team,
) -> None:
    """Take the steps that are left."""
    step = 0 if checkpoints is None else checkpoints.restore(learners)
    total, past = sum(learner.total_steps for learner in learners), sum(learner.past for learner in learners)
    reporter.start(total, past)
    with _plain_attention(base), recomputing(base, regime.recompute), Routing(base) as routing, Stop(here) as stop:
        while active := [learner for learner in learners if not learner.done]:
            train_step(base, routing, active, reporter, here)
            step += 1
            ended = [learner for learner in active if learner.step % learner.steps_per_epoch == 0]
            for learner in ended:
                learner.judge(dev_loss(base, routing, learner, here))
                reporter.epoch(learner)
            last = all(learner.done for learner in learners)
            signal = stop.asked()
            if signal or last or ended or step % regime.checkpoint == 0:
                _require_finite(learners)
                if checkpoints is not None:
                    checkpoints.save(learners, step)
            if signal and not last:
                past = sum(learner.past for learner in learners)
                kept = "The run is kept; run the same command to go on." if checkpoints else "Nothing was kept."
                raise TrainingError(f"training was stopped by {signal} after {past} of {total} steps. {kept}")


def hold_out(corpus: Sequence[Pairs], seed: int, *, together: bool = False) -> tuple[list[Pairs], list[Pairs]]:
    """Return the corpus without some rows of each text, and those rows as dev text.

    Args:
        corpus: The texts.
        seed: Another seed holds out others.
        together: Whether all texts train the same adapters: what is held out then stands in none of them. Else each is
            split as if it were the only one, since what trains alone must not depend on who else is there.

    Returns:
        (train, dev), each in the order of the corpus.

    Raises:
        DataError: If a text has too few rows.
    """
    if together:
        train, dev = split_together(corpus, DEV_SHARE, DEV_ROWS, seed)
        return list(train), list(dev)
    halves = [split_dev(pairs, DEV_SHARE, DEV_ROWS, seed) for pairs in corpus]
    return [train for train, _ in halves], [dev for _, dev in halves]


def _prepare(given: Base, regime: Training, material: Material, here: Team) -> tuple[Base, Sequence[Learner]]:
    """Return the base to train on and the learners, the same ones in all processes."""
    base = regime.model_of(given)
    here.require_own(base.device)
    if regime.shard:
        shard(base, here, frozen=base is given)
        return base, regime.learners(base, material)  # together: what the base translates passes all shards
    return base, here.first(lambda: regime.learners(base, material))  # the others find what the base translated


def _require_finite(learners: Sequence[Learner]) -> None:
    """Check, before anything is kept of them, that no gradient has ruined the weights though its loss was finite."""
    for learner in learners:
        if not all(weights.values.isfinite().all() for weights in learner.weights.values()):
            raise TrainingError(
                f"the weights of {learner.name} must be finite, but are not after step {learner.step}. "
                "Lower fit.learning_rate; the last checkpoint is kept."
            )


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
