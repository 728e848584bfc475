"""One step of all learners, and what a learner's dev rows say of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor

from lingraft.atoms import Direction, TrainingError
from lingraft.base import Base
from lingraft.delta import Routing
from lingraft.fit.batch import Batch, collate, costs_of, losses, pack
from lingraft.fit.learner import Learner
from lingraft.fit.parallel import Team
from lingraft.fit.report import Reporter
from lingraft.fit.seed import seeded
from lingraft.fit.settings import Training

ALONE = Team()


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
