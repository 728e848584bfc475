"""A language's token in training, where the base has none for it."""

from __future__ import annotations

from lingraft.atoms import AdapterName
from lingraft.base import Base
from lingraft.delta import Token
from lingraft.fit.weights import Weights


class LearnedToken:
    """The vector of one adapter's token, which starts as that of its relative, with a clip and an Adam of its own.

    A model that scales its embeddings by √d reads a vector that is that much larger than the one in its table. So
    the rate and the gradient's norm are counted on the scaled side: else the token would move √d times as fast
    as the updates do, and outweigh them in the clip.

    Attributes:
        token: The token; its row is trained.
        weights: What trains it.
    """

    def __init__(self, base: Base, name: AdapterName) -> None:
        """Start from the relative's vector.

        Args:
            base: The base, whose format says from whom the adapter's language borrows.
            name: The adapter.
        """
        relative = base.borrowed[name.language]
        module = base.model.get_submodule(base.embedding(name.role))
        row = module.weight[base.token(relative)].detach().float().clone()
        self.token = Token(relative, row.requires_grad_())
        self.weights = Weights([row])
        self._scale = float(getattr(module, "embed_scale", 1.0))

    def update(self, rate: float, clip: float, factor: float = 1.0) -> None:
        """Take one optimiser step.

        Args:
            rate: The learning rate.
            clip: Highest norm of the gradient.
            factor: Factor of the gathered gradient, applied first.
        """
        self.weights.update(rate / self._scale, clip * self._scale, factor)

    def kept(self) -> Token:
        """Return the token at its best."""
        (row,) = self.weights.kept()
        return Token(self.token.relative, row)


def learned_token(base: Base, name: AdapterName) -> LearnedToken | None:
    """Return the token that an adapter must learn, or None where its language has one in the base."""
    return LearnedToken(base, name) if name.language in base.borrowed else None
