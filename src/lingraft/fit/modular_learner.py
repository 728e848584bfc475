"""One adapter of the modular regime in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lingraft.atoms import ENGLISH, AdapterName, ConfigError, Direction, Role, Scope, Site
from lingraft.base import Base
from lingraft.delta import Adapter, Route, Term
from lingraft.direction import route
from lingraft.fit.apart import Halves
from lingraft.fit.fresh import fresh_updates, kept_updates
from lingraft.fit.learner import Learner, Row, Trained
from lingraft.fit.seed import seeded
from lingraft.fit.settings import Context
from lingraft.fit.token import learned_token
from lingraft.fit.weights import Weights

if TYPE_CHECKING:
    from lingraft.fit.modular import Modular


@dataclass(frozen=True)
class Task:
    """What one adapter learns from: its name, where it sits and acts, and its rows."""

    name: AdapterName
    scope: Scope
    sites: tuple[Site, ...]
    rows: list[Row]
    dev: list[Row]
    later: tuple[list[Row], ...] = ()
    """The same rows as they are in the second epoch and after it; none: as in the first."""
    files: tuple[Path, ...] = ()
    """Where the base's translations among the rows are kept until it is trained."""


class AdapterLearner(Learner):
    """One adapter in training."""

    settings: Modular

    def __init__(self, base: Base, task: Task, settings: Modular, context: Context | None = None) -> None:
        """Start from a zero update at each of the task's sites."""
        self._context = context or Context()
        self.task = task
        scale = (settings.alpha or settings.rank) / settings.rank
        ranks = dict.fromkeys(task.sites, settings.rank)
        self.updates = fresh_updates(base, task.name, ranks, scale, settings.seed)
        parts = [tensor for update in self.updates.values() for tensor in (update.A, update.B)]
        weights = {"adapter": Weights(parts)}
        self.token = learned_token(base, task.name)
        tokens = {}
        if self.token is not None:
            weights["token"], tokens[task.name.role] = self.token.weights, self.token.token
        super().__init__(str(task.name), settings, task.rows, task.dev, weights)
        self.files = task.files
        self._route: Route = (Term(self.updates, dict.fromkeys(self.updates, 1.0), task.scope, tokens),)
        self._halves = Halves(self.updates, task.name.role) if settings.orthogonal else None
        self._stepping = False
        self._kept: dict[Direction, Route] = {}

    def rows(self) -> list[Row]:
        """Return the rows of the coming step, as they are in its epoch."""
        self._stepping = True
        versions = (self.task.rows, *self.task.later)
        self.data = versions[min(self.step // self.steps_per_epoch, len(versions) - 1)]
        return super().rows()

    def routes(self, directions: Sequence[Direction]) -> list[Route]:
        """Return the adapter's own route, together with what is frozen on the other side of each direction."""
        if not self._context.bank:
            return [self._route] * len(directions)
        for where in directions:
            if where not in self._kept:
                others = self._context.bank.without(self.task.name.language)
                self._kept[where] = self._route + route(others, self._context.recipe, where)
        drawn = [(self._kept[where], self._partner(where)) for where in directions]
        return [kept + partner if partner else kept for kept, partner in drawn]

    @property
    def steady(self) -> bool:
        """Whether no partner is drawn."""
        return not self.settings.partner

    def _partner(self, direction: Direction) -> Route:
        """Return what acts on the other side of a direction in this step though it is another language's, or nothing.

        Which one, and its weight, is a function of (seed, adapter, step, direction). When judged, there is none.
        """
        if not self._stepping or not self.settings.partner:
            return ()
        generator = seeded(self.settings.seed, "partner", self.name, self.step, direction)
        drawn, weight = torch.rand(2, generator=generator).tolist()
        there = partners(self._context, self.task.name, direction)
        if drawn >= self.settings.partner or not there:
            return ()
        adapter = there[int(torch.randint(len(there), (), generator=generator))]
        recipe = self._context.recipe
        weights = {site: weight * recipe.weight(site, adapter.role) for site in adapter.updates}
        return (Term(adapter.updates, weights, adapter.scope),)

    def rate(self) -> float:
        """Return the learning rate of the coming step: linear warm-up, linear decay to a tenth."""
        warm = max(1, round(self.settings.warmup * self.total_steps))
        if self.step < warm:
            return self.settings.learning_rate * (self.step + 1) / warm
        return self.settings.learning_rate * (1 - 0.9 * (self.step - warm) / max(1, self.total_steps - warm))

    def update(self, tokens: Mapping[Direction, int]) -> None:
        """Take one optimiser step, clipped by this adapter's own norm."""
        if self._halves is not None:
            self._halves.pull(self.settings.orthogonal)
        self.weights["adapter"].update(self.rate(), self.settings.clip)
        if self.token is not None:
            self.token.update(self.rate(), self.settings.clip)
        self.step += 1
        self._stepping = False

    def identity(self) -> tuple[object, ...]:
        """Return what decides the result besides settings and base."""
        borrowed = () if self.token is None else (self.token.token.relative,)
        own = (self.task.scope.value, self.task.sites, self._context.identity, *borrowed)
        return (self.name, self.task.rows, self.dev, *own, *self.task.later)

    def trained(self) -> dict[AdapterName, Trained]:
        """Return the adapter at its best epoch."""
        updates = kept_updates(self.updates, self.weights["adapter"])
        token = None if self.token is None else self.token.kept()
        adapter = Adapter(*self.task.name, self.task.scope, updates, token)
        return {self.task.name: Trained(adapter, self.best_loss, self.best_epoch, self.step, len(self.data))}


def partners(context: Context, name: AdapterName, direction: Direction | None = None) -> list[Adapter]:
    """Return the frozen adapters that may be a partner of an adapter in training.

    Args:
        context: The library that it trains for.
        name: The adapter in training.
        direction: The direction of a row, whose languages are no strangers to it; None: any.

    Returns:
        Those of the other role and of other languages, sorted by language; English's are none of them.
    """
    known = {ENGLISH, name.language, *(direction or ())}
    return [
        adapter
        for (language, role), adapter in sorted(context.bank.items())
        if role is not name.role and language not in known
    ]


def require_partners(context: Context, name: AdapterName) -> None:
    """Check that there is a partner for an adapter in training.

    Args:
        context: The library that it trains for.
        name: The adapter in training.

    Raises:
        ConfigError: If there is none.
    """
    if not partners(context, name):
        other = next(role for role in Role if role is not name.role)
        raise ConfigError(
            f"`fit.partner` must be 0 where no other language's {other.value} adapter is at hand, as for {name}. "
            "Add a language without it first."
        )
