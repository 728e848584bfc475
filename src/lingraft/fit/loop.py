"""The one training loop: all learners on one resident base, each as if it were alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lingraft.atoms import AdapterName, Direction, TrainingError
from lingraft.base import Base
from lingraft.corpus import Pairs, split_dev
from lingraft.delta import Bank, Routing
from lingraft.fit.batch import Batch, collate, costs_of, losses, pack
from lingraft.fit.checkpoint import Checkpoints, run_id
from lingraft.fit.learner import Learner, Trained
from lingraft.fit.memory import keep_freed_memory
from lingraft.fit.parallel import Team, team
from lingraft.fit.parallel_base import shard
from lingraft.fit.parallel_stop import Stop
from lingraft.fit.recompute import recomputing
from lingraft.fit.report import Reporter, Silent
from lingraft.fit.seed import seeded
from lingraft.fit.settings import Context, Material, Training
from lingraft.fit.weights import side_by_side

DEV_SHARE, DEV_ROWS = 0.05, 400  # of each text, where no dev text is given
ALONE = Team()


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
        corpus, dev = hold_out(corpus, regime.seed)
    if base.device.type == "cpu":
        keep_freed_memory()
    base, learners = _prepare(base, regime, Material(corpus, dev, context or Context(), work, reporter), here)
    side_by_side(weights for learner in learners for weights in learner.weights.values())
    name = "" if work is None and here.alone else run_id(base, regime, learners)
    here.require_same("the run", name, "Give all of them the same text, base and settings.")
    checkpoints = None if work is None else Checkpoints(work, name, here)
    step = 0 if checkpoints is None else checkpoints.restore(learners)
    reporter.start(sum(learner.total_steps for learner in learners), sum(learner.past for learner in learners))
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
            if checkpoints is not None and (signal or last or ended or step % regime.checkpoint == 0):
                checkpoints.save(learners, step)
            if signal and not last:
                kept = "The run is kept; run the same command to go on." if checkpoints else "Nothing was kept."
                raise TrainingError(f"training was stopped by {signal} at step {step}. {kept}")
    reporter.finish()
    trained: dict[AdapterName, Trained] = {}
    for learner in learners:
        learner.finish()
        trained |= learner.trained()
    return Run(base, learners, trained, checkpoints)


def hold_out(corpus: Sequence[Pairs], seed: int) -> tuple[list[Pairs], list[Pairs]]:
    """Return the corpus without some rows of each text, and those rows as dev text."""
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


def train_step(base: Base, routing: Routing, active: Sequence[Learner], reporter: Reporter, here: Team = ALONE) -> None:
    """Take one step of every active learner: one optimiser step each, over its own rows.

    The rows of all learners pass the base together, in as many batches as the token budget asks for.
    Each learner's loss is the mean over its own tokens, so no learner can tell who else was there. Nor how many
    processes there are: each passes its share of the rows of a batch that is as many times larger.

    Args:
        base: The base.
        routing: Sends each row through what its learner trains.
        active: The learners that take a step, at least one, all of one regime.
        reporter: Is told each learner's loss, in nats per target token.
        here: The processes that take the step together.

    Raises:
        TrainingError: If a loss is not finite.
    """
    regime = active[0].settings
    for learner in active:
        epoch, position = divmod(learner.step, learner.steps_per_epoch)
        if position == 0:
            learner.begin_epoch(epoch + 1)
    rows = [learner.rows() for learner in active]
    tokens = [Counter[Direction]() for _ in active]
    for counted, mine in zip(tokens, rows, strict=True):
        for row in mine:
            counted[row.direction] += len(row.text.answer)
    totals = [counted.total() for counted in tokens]
    steady = [one.routes(list(counted)) for one, counted in zip(active, tokens, strict=True) if one.steady]
    routing.expect([route for routes in steady for route in routes])
    sums = [0.0] * len(active)
    said = []
    with _dropout(base, regime, active[0].step, here):
        for members in pack(rows, regime.tokens * here.size, costs_of(base, active, here.size)):
            own, counts = here.share(members)
            batch = collate(base, own)
            parts = _losses(base, routing, active, batch, regime.label_smoothing)
            means = [part / totals[i] for (i, *_), part in zip(batch.groups, parts, strict=True)]
            (torch.stack(means).sum() * float(counts)).backward()
            said.append((batch.groups, counts, torch.stack(parts).detach()))
    for groups, counts, found in said:  # read once all has been started: a GPU must not wait in between
        for (i, *_), value in zip(groups, found.tolist(), strict=True):
            sums[i] += counts * value
    sums = here.total(sums)
    here.sum([weights.gradient for learner in active for weights in learner.weights.values()])
    for i, learner in enumerate(active):
        loss = sums[i] / totals[i]
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss of {learner.name} must be finite, but is {loss} at step {learner.step}. "
                "Lower fit.learning_rate; the last checkpoint is kept."
            )
        learner.last_rate = learner.rate()
        learner.update(tokens[i])
        reporter.step(learner, loss)


def _require_finite(learners: Sequence[Learner]) -> None:
    """Check, before anything is kept of them, that no gradient has ruined what is trained though its loss was finite.

    Raises:
        TrainingError: If one has.
    """
    for learner in learners:
        if not all(weights.values.isfinite().all() for weights in learner.weights.values()):
            raise TrainingError(
                f"the weights of {learner.name} must be finite, but are not after step {learner.step}. "
                "Lower fit.learning_rate; the last checkpoint is kept."
            )


@torch.no_grad()
def dev_loss(base: Base, routing: Routing, learner: Learner, here: Team = ALONE) -> float:
    """Return the mean cross-entropy per target token over the learner's dev rows, in nats."""
    total, tokens = 0.0, sum(len(row.text.answer) for row in learner.dev)
    for members in pack([learner.dev], learner.settings.tokens * here.size, costs_of(base, [learner], here.size)):
        mine, counts = here.share(members)
        total += counts * sum(part.item() for part in _losses(base, routing, [learner], collate(base, mine)))
    (total,) = here.total([total])
    if not math.isfinite(total):
        raise TrainingError(f"the dev loss of {learner.name} must be finite, but is {total}. Lower fit.learning_rate.")
    return total / tokens


def _losses(
    base: Base, routing: Routing, learners: Sequence[Learner], batch: Batch, label_smoothing: float = 0.0
) -> list[Tensor]:
    """Send a batch through its learners' routes and return the summed loss of each of its groups."""
    routes = []
    for i, own in groupby(batch.groups, key=itemgetter(0)):
        mine = [(direction, count) for _, direction, count in own]
        found = learners[i].routes([direction for direction, _ in mine])
        routes += [(route, count) for route, (_, count) in zip(found, mine, strict=True)]
    routing.set(routes, batch.span)
    with torch.autocast(base.device.type, torch.bfloat16, enabled=learners[0].settings.precision == "bf16"):
        return losses(base, batch, label_smoothing)


@contextmanager
def _dropout(base: Base, regime: Training, step: int, here: Team) -> Iterator[None]:
    """Let the base drop out, where the regime wants it, by random numbers that depend on step and process alone."""
    if not regime.drops_out:
        yield
        return
    devices = [base.device] if base.device.type == "cuda" else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        others = () if here.lead else (here.rank,)
        torch.manual_seed(seeded(regime.seed, "dropout", step, *others).initial_seed())
        base.model.train()
        stack.callback(base.model.eval)
        yield


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
