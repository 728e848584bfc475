"""Learn the weights of a direction by gradient: they alone are trained, on a few pairs of sentences.

As CAT does with the weights of skill LoRAs (Prabhakar et al. 2024, LoRA Soups): the adapters stay as they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lingraft.atoms import Role
from lingraft.delta import Route, Routing
from lingraft.direction import Recipe
from lingraft.fit.batch import collate, losses, pack
from lingraft.library.mixing import Mixing
from lingraft.probe.search import Trial
from lingraft.probe.search_judge import Judge, Lines
from lingraft.probe.search_space import Space

_TOKENS = 2048  # padded tokens of a step
_CLIP = 1.0


@dataclass(frozen=True)
class Learning:
    """How the weights are learned."""

    epochs: int = 30
    """How often all lines are seen; after each there is a trial."""
    rate: float = 0.05
    """Adam's learning rate."""
    seed: int = 0


def learn(
    space: Space,
    judge: Judge,
    lines: Lines,
    start: Recipe,
    learning: Learning,
    advance: Callable[[int], None] | None = None,
) -> tuple[Trial, ...]:
    """Learn the numbers of a space from the cross-entropy of the references.

    Args:
        space: What may be changed.
        judge: Has the direction's adapters and base.
        lines: What to learn from.
        start: Where to begin.
        learning: How.
        advance: Told of the number of sentences that passed.

    Returns:
        The weights to begin with and those after each epoch: trials by the negated mean loss per token of all lines.
    """
    rows = judge.rows(lines)
    numbers = {
        name: torch.tensor(value, device=judge.base.device, requires_grad=True)
        for name, value in space.point(start).items()
    }
    optimiser = torch.optim.Adam(numbers.values(), lr=learning.rate)
    points = [_values(numbers)]
    with Routing(judge.base) as routing:
        for epoch in range(learning.epochs):
            batches = list(pack([rows], _TOKENS))
            random.Random(f"{learning.seed} {epoch}").shuffle(batches)
            for packed in batches:
                batch = collate(judge.base, packed)
                routing.set([(_route(space, judge, numbers), len(packed))], batch.span)
                loss = torch.stack(losses(judge.base, batch)).sum()
                optimiser.zero_grad()
                (loss / sum(batch.answers)).backward()
                torch.nn.utils.clip_grad_norm_(numbers.values(), _CLIP)
                optimiser.step()
                _bound(space, numbers)
                if advance:
                    advance(len(packed))
            points.append(_values(numbers))
    verdicts = judge.losses([Mixing(space.recipe(point)) for point in points], lines, advance)
    return tuple(Trial(point, verdict) for point, verdict in zip(points, verdicts, strict=True))


def _values(numbers: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in numbers.items()}


def _route(space: Space, judge: Judge, numbers: dict[str, Tensor]) -> Route:
    """Return the direction's route with weights that have gradients."""
    pairs = space.pairs(numbers)
    of = {layer: pairs[unit] for unit, layers in space.units.items() for layer in layers}
    terms = []
    for term, role in zip(judge.route(Mixing(Recipe())), Role, strict=True):
        pair = {site: space.sites.get(site) or of[site.stack, site.layer] for site in term.updates}
        weights = {site: weights[role is Role.TARGET] for site, weights in pair.items()}
        terms.append(term._replace(weights=weights))
    return tuple(terms)


def _bound(space: Space, numbers: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, (low, high) in space.bounds.items():
            numbers[name].clamp_(low, high)
