"""The modular regime: every adapter is trained by itself, from text paired with English alone.

Cao, Oda, Liu, Aizawa, Watanabe: Completely Modular Fine-tuning for Dynamic Language Adaptation
(Findings of EACL 2026). The *scoped* variant, where the input adapter acts on the source span and the
output adapter on the target span, in training as in use, is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from lingraft.atoms import ENGLISH, AdapterName, ConfigError, DataError, Direction, Role, Scope, Site
from lingraft.base import Base
from lingraft.corpus import Pairs
from lingraft.delta import Adapter, Route, Term
from lingraft.direction import Recipe, route
from lingraft.fit.bridge import Swapped, bridge
from lingraft.fit.fresh import fitting, fresh_updates, kept_updates, named_sites
from lingraft.fit.learner import Learner, Row, Trained
from lingraft.fit.settings import Context, Material, Training
from lingraft.fit.token import learned_token
from lingraft.fit.weights import Weights


class Modular(Training):
    """Settings of the modular regime. Numbers of rows and steps are per adapter."""

    rank: int = Field(default=16, ge=1, le=512)
    """Rank components of each update."""
    alpha: float | None = Field(default=None, gt=0)
    """Scale of an update is alpha / rank; None: alpha = rank."""
    scope: Literal["span", "everywhere"] = "span"
    """Where adapters act: on their own span (source or target), or everywhere as in the paper."""
    sites: tuple[str, ...] | None = None
    """Names of the linear maps that carry updates, e.g. q, k, v, o; None: all of them."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises from 0; after that it falls linearly to a tenth."""
    bridge: float = Field(default=0.0, ge=0, le=1)
    """Share of the training rows whose English side the base first puts into another language it knows."""

    def learners(self, base: Base, material: Material) -> list[Learner]:
        """Return the two learners of each language of the corpus, input adapter first.

        Args:
            base: The base, which gives sites and format.
            material: Text that pairs each language with English.

        Returns:
            One learner per language and role, in the order of the corpus.

        Raises:
            DataError: If a text is not paired with English, or a language has no dev text.
            ConfigError: If ``sites`` names what the base does not have, or the base has no bridges.
        """
        held_out = {foreign(pairs): pairs for pairs in material.dev}
        learners: list[Learner] = []
        for pairs in material.corpus:
            language = foreign(pairs)
            if language not in held_out:
                raise DataError(f"`dev` must hold text for {language}, but holds {', '.join(held_out) or 'none'}.")
            folder = None if material.work is None else material.work / "bridged"
            swapped = bridge(
                base, pairs.of(ENGLISH), language, self.bridge, self.seed, folder=folder, reporter=material.reporter
            )
            for role in Role:
                task = Task(
                    AdapterName(language, role),
                    self._scope(role),
                    self.sites_of(base, role, material.context.recipe),
                    encode(base, pairs, role, swapped),
                    encode(base, held_out[language], role),
                )
                learners.append(AdapterLearner(base, task, self, material.context))
        return learners

    def _scope(self, role: Role) -> Scope:
        if self.scope == "everywhere":
            return Scope.EVERYWHERE
        return Scope.SOURCE if role is Role.SOURCE else Scope.TARGET

    def sites_of(self, base: Base, role: Role, recipe: Recipe | None = None) -> tuple[Site, ...]:
        """Return the sites that carry updates of ``role``: those where the recipe gives it a weight.

        In an encoder–decoder the encoder is the source span, so a scoped adapter has sites in one stack.
        In a decoder-only base the source span is read through keys and values alone, so in the last
        layer other sites of a scoped input adapter could never matter.
        """
        sites = named_sites(base, self.sites)
        if recipe is not None:
            sites = [site for site in sites if role in recipe.roles(site)]
        if self.scope == "span" and base.family.kind == "seq2seq":
            stack = "encoder" if role is Role.SOURCE else "decoder"
            sites = [site for site in sites if site.stack == stack]
        elif self.scope == "span" and role is Role.SOURCE:
            last = max(site.layer for site in base.sites)
            sites = [site for site in sites if site.layer < last or site.name in ("k", "v")]
        if not sites:
            raise ConfigError(
                f"the library's recipe must give the {role.value} a weight somewhere in `fit.sites`, but gives none. "
                "Name other sites, or use another library."
            )
        for site in sites:
            if self.rank > min(base.shape(site)):
                raise ConfigError(
                    f"`fit.rank` must be at most {min(base.shape(site))}, the smaller side of {site}, "
                    f"but is {self.rank} instead."
                )
        return tuple(sites)


@dataclass(frozen=True)
class Task:
    """What one adapter learns from: its name, where it sits and acts, and its rows."""

    name: AdapterName
    scope: Scope
    sites: tuple[Site, ...]
    rows: list[Row]
    dev: list[Row]


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
        self._route: Route = (Term(self.updates, dict.fromkeys(self.updates, 1.0), task.scope, tokens),)

    def routes(self, directions: Sequence[Direction]) -> list[Route]:
        """Return the adapter's own route, together with what the other side of each direction has frozen."""
        if not self._context.bank:
            return [self._route] * len(directions)
        others = self._context.bank.without(self.task.name.language)
        return [self._route + route(others, self._context.recipe, direction) for direction in directions]

    def rate(self) -> float:
        """Return the learning rate of the coming step: linear warm-up, linear decay to a tenth."""
        warm = max(1, round(self.settings.warmup * self.total_steps))
        if self.step < warm:
            return self.settings.learning_rate * (self.step + 1) / warm
        return self.settings.learning_rate * (1 - 0.9 * (self.step - warm) / max(1, self.total_steps - warm))

    def update(self, tokens: Mapping[Direction, int]) -> None:
        """Take one optimiser step, clipped by this adapter's own norm."""
        self.weights["adapter"].update(self.rate(), self.settings.clip)
        if self.token is not None:
            self.token.update(self.rate(), self.settings.clip)
        self.step += 1

    def identity(self) -> tuple[object, ...]:
        """Return what decides the result besides settings and base."""
        borrowed = () if self.token is None else (self.token.token.relative,)
        return (*super().identity(), self.task.scope.value, self.task.sites, self._context.identity, *borrowed)

    def trained(self) -> dict[AdapterName, Trained]:
        """Return the adapter at its best epoch."""
        updates = kept_updates(self.updates, self.weights["adapter"])
        token = None if self.token is None else self.token.kept()
        adapter = Adapter(*self.task.name, self.task.scope, updates, token)
        return {self.task.name: Trained(adapter, self.best_loss, self.best_epoch, self.step, len(self.data))}


def foreign(pairs: Pairs) -> str:
    """Return the language that is paired with English.

    Args:
        pairs: Text of two languages.

    Returns:
        The one that is not English.

    Raises:
        DataError: If English is not one of the two.
    """
    if ENGLISH not in (pairs.a, pairs.b) or pairs.a == pairs.b:
        raise DataError(f"`corpus` must pair each language with {ENGLISH}, but pairs {pairs.a} with {pairs.b} instead.")
    return pairs.b if pairs.a == ENGLISH else pairs.a


def encode(base: Base, pairs: Pairs, role: Role, swapped: Swapped | None = None) -> list[Row]:
    """Return the rows of X→English (SOURCE) or English→X (TARGET) that fit the base's window.

    Args:
        base: The base, whose format is used.
        pairs: The text.
        role: Which way to translate.
        swapped: Rows whose English side is replaced by another language's.

    Returns:
        The rows, in order.

    Raises:
        DataError: If no row fits.
    """
    language = foreign(pairs)
    sides: dict[str, list[int]] = {ENGLISH: []}
    for i in range(len(pairs)):
        sides.setdefault(swapped[i][0] if swapped and i in swapped else ENGLISH, []).append(i)
    rows: dict[int, Row] = {}
    for other, numbers in sides.items():
        near = [pairs.of(language)[i] for i in numbers]
        far = [pairs.of(ENGLISH)[i] if other == ENGLISH else (swapped or {})[i][1] for i in numbers]
        direction = Direction(language, other) if role is Role.SOURCE else Direction(other, language)
        texts, answers = (near, far) if role is Role.SOURCE else (far, near)
        encoded = base.format.encode(direction, texts, answers)
        rows |= {i: Row(direction, row) for i, row in zip(numbers, encoded, strict=True)}
    return fitting(base, [row for _, row in sorted(rows.items())], pairs.origin)
