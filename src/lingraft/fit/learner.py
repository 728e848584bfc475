"""One adapter in training: its parameters, optimiser, schedule, and when it stops."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lingraft.atoms import Site
from lingraft.base import Base, Encoded
from lingraft.delta import Adapter, Route, Term, Update, fresh
from lingraft.fit.modular import Modular, Task
from lingraft.fit.seed import seeded


class Learner:
    """Everything that training one adapter needs, and nothing that it shares with another."""

    def __init__(self, base: Base, task: Task, regime: Modular) -> None:
        """Start from a zero update at each of the task's sites."""
        self.task = task
        self.regime = regime
        generator = seeded(regime.seed, "init", task.name)
        scale = (regime.alpha or regime.rank) / regime.rank
        self.updates: dict[Site, Update] = {}
        for site in task.sites:
            update = fresh(*base.shape(site), regime.rank, scale, generator)
            a, b = (tensor.detach().to(base.device).requires_grad_() for tensor in (update.A, update.B))
            self.updates[site] = Update(a, b, scale)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=regime.learning_rate, betas=(0.9, 0.98), weight_decay=0)
        self.step = 0
        self.bad_epochs = 0
        self.last_loss = math.inf
        self.best_loss = math.inf
        self.best_epoch = 0
        self.stopped = False
        self.best: dict[Site, tuple[Tensor, Tensor]] = {}
        self.route: Route = (Term(self.updates, dict.fromkeys(self.updates, 1.0), task.scope),)
        self._order: tuple[int, list[int]] = (-1, [])

    @property
    def parameters(self) -> list[Tensor]:
        """A and B of each site, in network order."""
        return [tensor for update in self.updates.values() for tensor in (update.A, update.B)]

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which each row is seen once."""
        return -(-len(self.task.rows) // self.regime.rows)

    @property
    def total_steps(self) -> int:
        """Steps until the end of the schedule."""
        return self.regime.epochs * self.steps_per_epoch

    @property
    def done(self) -> bool:
        """Whether the adapter trains no more."""
        return self.stopped or self.step >= self.total_steps

    def rows(self) -> list[Encoded]:
        """Return the rows of the coming step, a pure function of (seed, epoch, step)."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if self._order[0] != epoch:
            generator = seeded(self.regime.seed, "order", self.task.name, epoch)
            self._order = epoch, torch.randperm(len(self.task.rows), generator=generator).tolist()
        chosen = self._order[1][position * self.regime.rows : (position + 1) * self.regime.rows]
        return [self.task.rows[i] for i in chosen]

    def rate(self) -> float:
        """Return the learning rate of the coming step: linear warm-up, linear decay to a tenth."""
        warm = max(1, round(self.regime.warmup * self.total_steps))
        if self.step < warm:
            return self.regime.learning_rate * (self.step + 1) / warm
        return self.regime.learning_rate * (1 - 0.9 * (self.step - warm) / max(1, self.total_steps - warm))

    def update(self) -> None:
        """Take one optimiser step from the gathered gradients, clipped by this adapter's own norm."""
        torch.nn.utils.clip_grad_norm_(self.parameters, self.regime.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def judge(self, dev_loss: float) -> None:
        """Keep the weights if the dev loss is the best so far; stop after ``patience`` worse epochs."""
        self.last_loss = dev_loss
        if dev_loss < self.best_loss:
            self.best_loss, self.bad_epochs = dev_loss, 0
            self.best_epoch = self.step // self.steps_per_epoch
            self.best = {s: (u.A.detach().clone(), u.B.detach().clone()) for s, u in self.updates.items()}
        else:
            self.bad_epochs += 1
            self.stopped = self.bad_epochs >= self.regime.patience

    def adapter(self) -> Adapter:
        """Return the best weights so far as an adapter."""
        updates = {site: Update(a, b, self.updates[site].scale) for site, (a, b) in self.best.items()}
        return Adapter(self.task.name.language, self.task.name.role, self.task.scope, updates)
