"""All adapters of the joint regime in training: one stream of rows, but a step, a clip and an Adam for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lingraft.atoms import AdapterName, Direction, Role, Scope, Site
from lingraft.base import Base
from lingraft.delta import Adapter, Route, Term, Update, prune
from lingraft.fit.fresh import fresh_updates, kept_updates
from lingraft.fit.indexing import Indexing, Unit
from lingraft.fit.learner import Row, Trained
from lingraft.fit.multi import MultidirectionalLearner
from lingraft.fit.token import LearnedToken, learned_token
from lingraft.fit.weights import Weights

if TYPE_CHECKING:
    from lingraft.fit.joint import Joint

EVERYONE = "mul_Zyyy"
"""The code under which the one update of all languages goes, where there is only one."""
MIXING = "mixing"
FFN = ("fc1", "fc2")
"""The feed-forward's sites, where the authors' code differs from the formula."""
NO_CLIP = float("inf")


class JointLearner(MultidirectionalLearner):
    """The adapters of all languages. One that has no row in a step does not move in it."""

    settings: Joint

    def __init__(
        self,
        base: Base,
        settings: Joint,
        layout: Mapping[AdapterName, Mapping[Site, int]],
        rows: Sequence[Row],
        dev: Sequence[Row],
    ) -> None:
        """Start from zero updates.

        Args:
            base: The base.
            settings: The regime.
            layout: Adapter → site → rank.
            rows: Training rows of all directions.
            dev: The rows to be judged on.
        """
        self.updates = {
            name: fresh_updates(base, name, ranks, 1.0, settings.seed) for name, ranks in layout.items() if ranks
        }
        weights = {
            str(name): Weights([tensor for update in updates.values() for tensor in (update.A, update.B)])
            for name, updates in self.updates.items()
        }
        self.tokens: dict[AdapterName, LearnedToken] = {
            name: token for name in self.updates if (token := learned_token(base, name)) is not None
        }
        weights |= {f"{name}.token": token.weights for name, token in self.tokens.items()}
        self._terms = {
            name: Term(
                updates,
                dict.fromkeys(updates, 1.0),
                Scope.EVERYWHERE,
                {name.role: self.tokens[name].token} if name in self.tokens else {},
            )
            for name, updates in self.updates.items()
        }
        self._units: dict[Unit, int] = {}
        if settings.learn != "no":
            units = dict.fromkeys(_unit(site, settings) for ranks in layout.values() for site in ranks)
            self._units = {unit: i for i, unit in enumerate(sorted(units))}
            self._logits = torch.zeros(len(self._units), 2, device=base.device)  # source, target
            weights[MIXING] = Weights([self._logits])
        super().__init__("joint", settings, rows, dev, weights)
        self._slices: dict[Site, int] = {}  # the first inputs and outputs that have updates in the authors' code
        if settings.ffn != "whole":
            self._slices = {site: min(base.shape(site)) for site in base.sites if site.name in FFN}
        if self._slices:
            self._hold({})

    @property
    def steady(self) -> bool:
        """Whether nothing of the mixing is learned."""
        return not self._units

    def routes(self, directions: Sequence[Direction]) -> list[Route]:
        """Return source's and target's adapter of each direction, mixed as far as is learned so far."""
        if self.settings.shared:
            return [(self._terms[AdapterName(EVERYONE, Role.TARGET)],)] * len(directions)
        terms = self._terms
        if self._units:
            mixed = [pair.unbind() for pair in self._logits.softmax(-1).unbind()]
            terms = {
                name: term._replace(
                    weights={
                        site: mixed[self._units[_unit(site, self.settings)]][name.role is Role.TARGET]
                        for site in term.updates
                    }
                )
                for name, term in terms.items()
                if any(name.language in direction for direction in directions)
            }
        return [tuple(terms[name] for name in _sides(direction) if name in terms) for direction in directions]

    def update(self, tokens: Mapping[Direction, int]) -> None:
        """Take a step of every adapter that had rows, from the mean loss over its own target tokens."""
        total, own = sum(tokens.values()), Counter[AdapterName]()
        for direction, count in tokens.items():
            for name in [AdapterName(EVERYONE, Role.TARGET)] if self.settings.shared else _sides(direction):
                own[name] += count
        for name, count in own.items():
            if name in self.updates:
                self.weights[str(name)].update(self.rate(), self.settings.clip, total / count)
            if name in self.tokens:
                self.tokens[name].update(self.rate(), self.settings.clip, total / count)
        if self._units:
            self.weights[MIXING].update(self.settings.mixing_rate * self.rate() / self.settings.learning_rate, NO_CLIP)
        self.step += 1

    def begin_epoch(self, epoch: int) -> None:
        """Prune as the schedule says; what survives is chosen anew, from what survived before."""
        settings = self.settings.prune
        share = prune.share(epoch, settings.share, settings.start, settings.length)
        if share > 0:
            self._hold(prune.select(self._reach(), share, settings.within, settings.factors))

    @property
    def comparable(self) -> bool:
        """Whether the last epoch was trained at the final share."""
        return not self.settings.prune.share or self.epoch >= self.settings.prune.start + self.settings.prune.length

    def identity(self) -> tuple[object, ...]:
        """Return what decides the result besides settings and base; a recipe's file may have changed."""
        borrowed = [(name, token.token.relative) for name, token in self.tokens.items()]
        layout = [(name, list(updates)) for name, updates in self.updates.items()]
        return (*super().identity(), layout, *([borrowed] if borrowed else []))

    def trained(self) -> dict[AdapterName, Trained]:
        """Return the adapters at the best epoch."""
        seen = Counter(name for row in self.data for name in _sides(row.direction))
        return {
            name: Trained(
                Adapter(
                    *name,
                    Scope.EVERYWHERE,
                    kept_updates(updates, self.weights[str(name)]),
                    self.tokens[name].kept() if name in self.tokens else None,
                ),
                self.best_loss,
                self.best_epoch,
                self.step,
                len(self.data) if name.language == EVERYONE else seen[name],
            )
            for name, updates in self.updates.items()
        }

    def indexing(self) -> Indexing | None:
        """Return the mixing weights at the best epoch; None where none are learned."""
        if not self._units:
            return None
        (logits,) = self.weights[MIXING].kept()
        return Indexing(dict(zip(self._units, logits.softmax(-1)[:, 0].tolist(), strict=True)))

    def _reach(self) -> dict[AdapterName, dict[Site, Update]]:
        """Return the updates without what ``ffn`` holds at zero, so that it does not count as pruned."""
        return {
            name: {
                site: Update(update.A[:, : self._slices[site]], update.B[: self._slices[site]], update.scale)
                if site in self._slices
                else update
                for site, update in updates.items()
            }
            for name, updates in self.updates.items()
        }

    def _hold(self, masks: prune.Masks) -> None:
        """Hold at zero what is pruned, and what ``ffn`` leaves out."""
        for name, updates in self.updates.items():
            alive = []
            for site, update in updates.items():
                mask = masks[name][site] if masks else prune.Mask(None, None)
                limit = self._slices.get(site)
                alive += [_filled(update.A, mask.A, slice(None), slice(limit))]
                alive += [_filled(update.B, mask.B, slice(limit), slice(None))]
            self.weights[str(name)].hold(alive)


def _sides(direction: Direction) -> list[AdapterName]:
    return [AdapterName(direction.source, Role.SOURCE), AdapterName(direction.target, Role.TARGET)]


def _unit(site: Site, settings: Joint) -> Unit:
    return site if settings.learn == "site" else (site.stack, site.layer)


def _filled(factor: Tensor, mask: Tensor | None, rows: slice, columns: slice) -> Tensor:
    """Return True where a factor is trained: in its upper left part, and there where the mask says so."""
    alive = torch.zeros(factor.shape, dtype=torch.bool, device=factor.device)
    alive[rows, columns] = True if mask is None else mask
    return alive
