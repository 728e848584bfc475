"""The modular regime: every adapter is trained by itself, from text paired with English alone.

Cao, Oda, Liu, Aizawa, Watanabe: Completely Modular Fine-tuning for Dynamic Language Adaptation
(Findings of EACL 2026). The *scoped* variant, where the input adapter acts on the source span and the
output adapter on the target span, in training as in use, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from lingraft.atoms import ENGLISH, AdapterName, ConfigError, DataError, Direction, Role, Scope, Site
from lingraft.atoms.config import Settings
from lingraft.base import Base, Encoded
from lingraft.corpus import Pairs
from lingraft.fit.bridge import Swapped, bridge


class Modular(Settings):
    """Settings of the modular regime. Numbers of rows and steps are per adapter."""

    rank: int = Field(default=16, ge=1, le=512)
    """Rank components of each update."""
    alpha: float | None = Field(default=None, gt=0)
    """Scale of an update is alpha / rank; None: alpha = rank."""
    scope: Literal["span", "everywhere"] = "span"
    """Where adapters act: on their own span (source or target), or everywhere as in the paper."""
    sites: tuple[str, ...] | None = None
    """Names of the linear maps that carry updates, e.g. q, k, v, o; None: all of them."""
    epochs: int = Field(default=6, ge=1)
    """Passes over the training rows."""
    rows: int = Field(default=64, ge=1)
    """Training rows of a step."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest learning rate of AdamW."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises from 0; after that it falls linearly to a tenth."""
    clip: float = Field(default=1.0, gt=0)
    """Highest norm of an adapter's gradient."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of the probability that is spread over the vocabulary."""
    bridge: float = Field(default=0.0, ge=0, le=1)
    """Share of the training rows whose English side the base first puts into another language it knows."""
    patience: int = Field(default=2, ge=1)
    """Epochs without a better dev loss after which an adapter stops."""
    tokens: int = Field(default=4000, ge=64)
    """Padded tokens that pass the base at once; more rows are accumulated, with the same result."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Arithmetic of the base in training; adapters and optimiser are fp32 always."""
    checkpoint: int = Field(default=200, ge=1)
    """Steps between checkpoints."""
    seed: int = 1
    """Seed of everything random."""

    def tasks(self, base: Base, corpus: Sequence[Pairs], dev: Sequence[Pairs]) -> list[Task]:
        """Return the two tasks of each language of the corpus, input adapter first.

        Args:
            base: The base, which gives sites and format.
            corpus: Training text, each language paired with English.
            dev: Held-out text of at least the same languages.

        Returns:
            One task per language and role, in the order of the corpus.

        Raises:
            DataError: If a text is not paired with English, or a language has no dev text.
            ConfigError: If ``sites`` names what the base does not have.
        """
        held_out = {_foreign(pairs): pairs for pairs in dev}
        tasks: list[Task] = []
        for pairs in corpus:
            language = _foreign(pairs)
            if language not in held_out:
                raise DataError(f"`dev` must hold text for {language}, but holds {', '.join(held_out) or 'none'}.")
            swapped = bridge(base, pairs.of(ENGLISH), language, self.bridge, self.seed)
            tasks += [
                Task(
                    AdapterName(language, role),
                    self._scope(role),
                    self.sites_of(base, role),
                    encode(base, pairs, role, swapped),
                    encode(base, held_out[language], role),
                )
                for role in Role
            ]
        return tasks

    def _scope(self, role: Role) -> Scope:
        if self.scope == "everywhere":
            return Scope.EVERYWHERE
        return Scope.SOURCE if role is Role.SOURCE else Scope.TARGET

    def sites_of(self, base: Base, role: Role) -> tuple[Site, ...]:
        """Return the sites that carry updates of ``role``.

        In an encoder–decoder the encoder is the source span, so a scoped adapter has sites in one stack.
        In a decoder-only base the source span is read through keys and values alone, so in the last
        layer other sites of a scoped input adapter could never matter.
        """
        names = sorted({site.name for site in base.sites})
        if strange := sorted(set(self.sites or ()) - set(names)):
            raise ConfigError(f"`fit.sites` must be among {', '.join(names)}, but names {', '.join(strange)} instead.")
        sites = [site for site in base.sites if self.sites is None or site.name in self.sites]
        if self.scope == "span" and base.family.kind == "seq2seq":
            stack = "encoder" if role is Role.SOURCE else "decoder"
            sites = [site for site in sites if site.stack == stack]
        elif self.scope == "span" and role is Role.SOURCE:
            last = max(site.layer for site in base.sites)
            sites = [site for site in sites if site.layer < last or site.name in ("k", "v")]
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
    rows: list[Encoded]
    dev: list[Encoded]


def _foreign(pairs: Pairs) -> str:
    """Return the language that is paired with English."""
    if ENGLISH not in (pairs.a, pairs.b) or pairs.a == pairs.b:
        raise DataError(f"`corpus` must pair each language with {ENGLISH}, but pairs {pairs.a} with {pairs.b} instead.")
    return pairs.b if pairs.a == ENGLISH else pairs.a


def encode(base: Base, pairs: Pairs, role: Role, swapped: Swapped | None = None) -> list[Encoded]:
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
    language = _foreign(pairs)
    sides: dict[str, list[int]] = {ENGLISH: []}
    for i in range(len(pairs)):
        sides.setdefault(swapped[i][0] if swapped and i in swapped else ENGLISH, []).append(i)
    rows: dict[int, Encoded] = {}
    for other, numbers in sides.items():
        near = [pairs.of(language)[i] for i in numbers]
        far = [pairs.of(ENGLISH)[i] if other == ENGLISH else (swapped or {})[i][1] for i in numbers]
        if role is Role.SOURCE:
            encoded = base.format.encode(Direction(language, other), near, far)
        else:
            encoded = base.format.encode(Direction(other, language), far, near)
        rows |= dict(zip(numbers, encoded, strict=True))
    kept = [
        row for _, row in sorted(rows.items()) if len(row.source) + len(row.target) + len(row.answer) <= base.context
    ]
    if not kept:
        raise DataError(f"{pairs.origin} must hold rows of at most {base.context} tokens, but holds none.")
    return kept
