"""Full fine-tuning of all parameters of a copy of the base: the baseline that everything is held against."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from pydantic import Field
from torch import nn

from lingraft.atoms import Direction
from lingraft.base import Base
from lingraft.delta import Route
from lingraft.fit.learner import Learner, Row
from lingraft.fit.multi import Multidirectional, MultidirectionalLearner, both_ways, require_own_tokens
from lingraft.fit.settings import Material
from lingraft.fit.weights import Weights


class Full(Multidirectional):
    """Settings of full fine-tuning, on all directions of the text at once."""

    learning_rate: float = Field(default=3e-4, gt=0)
    """Highest learning rate of AdamW."""
    embeddings: bool = True
    """Whether the embeddings are trained too, and the output layer, which most bases tie to them."""

    def model_of(self, base: Base) -> Base:
        """Return a base with a copy of the model in fp32; the given one is not written to."""
        tuned = copy.copy(base)
        tuned.model = copy.deepcopy(base.model).float()
        return tuned

    def learners(self, base: Base, material: Material) -> list[Learner]:
        """Return the one learner whose weights are the model's.

        Args:
            base: The copy that is tuned.
            material: Text of any pairs of languages; both directions of each are trained.

        Returns:
            One learner.

        Raises:
            ConfigError: If a language borrows its token from another.
            DataError: If no text fits the base.
        """
        require_own_tokens(base, material.languages, "full fine-tuning")
        rows, dev = both_ways(base, material.corpus), both_ways(base, material.dev, "dev")
        return [FullLearner(base, self, rows, dev)]


class FullLearner(MultidirectionalLearner):
    """Trains every parameter of a model, or all but the embeddings."""

    def __init__(self, base: Base, settings: Full, rows: Sequence[Row], dev: Sequence[Row]) -> None:
        """Make the model's parameters trainable."""
        held = set() if settings.embeddings else _embeddings(base)
        trained = [parameter for parameter in base.model.parameters() if parameter not in held]
        super().__init__("model", settings, rows, dev, {"model": Weights(trained)})
        self._base = base

    def routes(self, directions: Sequence[Direction]) -> list[Route]:
        """Return no update for any direction."""
        return [()] * len(directions)

    def update(self, tokens: Mapping[Direction, int]) -> None:
        """Take one step of all parameters."""
        self.weights["model"].update(self.rate(), self.settings.clip)
        self.step += 1

    def finish(self) -> None:
        """Set the model to its best epoch, and freeze it; it has another fingerprint now."""
        self.weights["model"].go_back()
        self._base.model.requires_grad_(False)
        for parameter in self._base.model.parameters():
            parameter.grad = None
        self._base.__dict__.pop("fingerprint", None)


def _embeddings(base: Base) -> set[nn.Parameter]:
    modules = [module for module in base.model.modules() if isinstance(module, nn.Embedding)]
    return {parameter for module in (*modules, base.model.get_output_embeddings()) for parameter in module.parameters()}
