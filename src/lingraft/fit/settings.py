"""The settings that every regime has."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from torch import Tensor

from lingraft.atoms.config import Settings
from lingraft.delta import Bank
from lingraft.direction import Recipe

if TYPE_CHECKING:
    from lingraft.base import Base
    from lingraft.corpus import Pairs
    from lingraft.fit.learner import Learner
    from lingraft.fit.report import Reporter


@dataclass(frozen=True)
class Context:
    """The library that adapters are trained for."""

    recipe: Recipe = field(default_factory=Recipe)
    """What they will be used with: an adapter has updates only where its role has a weight."""
    bank: Bank = field(default_factory=Bank)
    """Adapters that take part while others train, themselves frozen: English's, where the library has them."""

    @cached_property
    def identity(self) -> str:
        """A hash of the frozen adapters and the recipe; computed once."""
        digest = hashlib.sha256(repr(self.recipe).encode())
        for name, adapter in sorted(self.bank.items()):
            for site, update in adapter.updates.items():
                digest.update(f"{name} {site} {update.scale}".encode())
                for factor in (update.A, update.B):
                    digest.update(_bytes(factor))
            if adapter.token is not None:
                digest.update(f"{name} {adapter.token.relative}".encode() + _bytes(adapter.token.row))
        return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.detach().float().cpu().contiguous().numpy().tobytes())


@dataclass(frozen=True)
class Material:
    """What a regime makes its learners of."""

    corpus: Sequence[Pairs]
    """Training text."""
    dev: Sequence[Pairs]
    """Held-out text of at least the same languages."""
    context: Context = field(default_factory=Context)
    """The library that it is for."""
    work: Path | None = None
    """Folder for what is costly to make again; None: nothing is kept."""
    reporter: Reporter | None = None
    """Is told about work that comes before training."""

    @property
    def languages(self) -> list[str]:
        """The languages of the training text, sorted."""
        return sorted({language for pairs in self.corpus for language in (pairs.a, pairs.b)})


class Training(Settings):
    """What the training loop needs to know. Numbers of rows and steps are per learner."""

    epochs: int = Field(default=6, ge=1)
    """Passes over the training rows."""
    rows: int = Field(default=64, ge=1)
    """Training rows of a step."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest learning rate of AdamW."""
    clip: float = Field(default=1.0, gt=0)
    """Highest norm of an adapter's gradient."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of the probability that is spread over the vocabulary."""
    patience: int = Field(default=2, ge=1)
    """Epochs without a better dev loss after which training stops."""
    tokens: int = Field(default=4000, ge=64)
    """Padded tokens that pass the base at once; more rows are accumulated, with the same result."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Arithmetic of the base in training; what is trained and its optimiser are fp32 always."""
    recompute: bool = False
    """Whether a layer's activations are computed again in the backward pass, not kept: less memory, more time."""
    shard: bool = False
    """Whether each of several processes keeps only a part of the frozen base's layers; see docs/training.md."""
    checkpoint: int = Field(default=200, ge=1)
    """Steps between checkpoints."""
    seed: int = 1
    """Seed of everything random."""

    @property
    def drops_out(self) -> bool:
        """Whether the base drops out in training, as its own config says."""
        return False

    @property
    def together(self) -> bool:
        """Whether all texts train the same weights, not each its own."""
        return False

    def model_of(self, base: Base) -> Base:
        """Return the base to train on: the frozen one, unless a regime writes to a copy."""
        return base

    def learners(self, base: Base, material: Material) -> Sequence[Learner]:
        """Return what trains, side by side in one run.

        Args:
            base: What ``model_of`` returned.
            material: The text, and what belongs to it.

        Returns:
            At least one learner.

        Raises:
            ConfigError: If a setting does not fit the base or the text.
            DataError: If the text is not what the regime trains on.
        """
        raise NotImplementedError
