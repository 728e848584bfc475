"""The modular regime: every adapter is trained by itself, from text paired with English alone.

Cao, Oda, Liu, Aizawa, Watanabe: Completely Modular Fine-tuning for Dynamic Language Adaptation
(Findings of EACL 2026). The *scoped* variant, where the input adapter acts on the source span and the
output adapter on the target span, in training as in use, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from lingraft.atoms import ENGLISH, AdapterName, ConfigError, DataError, Direction, Role, Scope, Site
from lingraft.atoms.config import Settings
from lingraft.base import Base
from lingraft.corpus import Pairs
from lingraft.direction import Recipe
from lingraft.fit.bridge import Bridge, Swapped
from lingraft.fit.fresh import fitting, named_sites
from lingraft.fit.learner import Row
from lingraft.fit.modular_learner import AdapterLearner, Task, require_partners
from lingraft.fit.settings import Material, Training


class Layers(Settings):
    """In which layers adapters have updates, counted from 0 within their stack."""

    source_below: int | None = Field(default=None, ge=1)
    """Input adapters have updates in the layers below this one; None: in all."""
    target_from: int | None = Field(default=None, ge=0)
    """Output adapters have updates from this layer on; None: in all."""

    def has(self, site: Site, role: Role) -> bool:
        """Whether an adapter of ``role`` may have an update at a site."""
        if role is Role.SOURCE:
            return self.source_below is None or site.layer < self.source_below
        return self.target_from is None or site.layer >= self.target_from


class Modular(Training):
    """Settings of the modular regime. Numbers of rows and steps are per adapter."""

    rows: int = Field(default=16, ge=1)
    """Training rows of a step. Few, since an adapter learns by how often it is updated: from the same text, steps of 16
    rows gain much over steps of 64 (docs/results/modular.md)."""
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
    rebridge: bool = False
    """Whether each epoch draws anew which rows get another language, and which; the base translates as often."""
    partner: float = Field(default=0.0, ge=0, le=1)
    """Share of the steps in which a frozen adapter of another installed language acts on the other side, with a
    weight between 0 and 1: drawn by step and direction."""
    orthogonal: float = Field(default=0.0, ge=0)
    """Strength of the penalty, in nats per token, on what lies in the half of a site's outputs that belongs to the
    other role (see ``fit.apart``)."""
    layers: Layers = Layers()
    """In which layers the roles have updates."""

    def learners(self, base: Base, material: Material) -> list[AdapterLearner]:
        """Return the two learners of each language of the corpus, input adapter first.

        Args:
            base: The base, which gives sites and format.
            material: Text that pairs each language with English.

        Returns:
            One learner per language and role, in the order of the corpus.

        Raises:
            DataError: If there is no text, one is not paired with English, or a language has two, or no dev text.
            ConfigError: If ``sites`` names what the base does not have, or the base has no bridges.
        """
        held_out = {foreign(pairs): pairs for pairs in material.dev}
        learners: list[AdapterLearner] = []
        for pairs in material.corpus:
            language = foreign(pairs)
            if any(learner.task.name.language == language for learner in learners):
                raise DataError(f"`corpus` must hold one text of {language}, but holds two. Put their rows together.")
            if language not in held_out:
                raise DataError(f"`dev` must hold text for {language}, but holds {', '.join(held_out) or 'none'}.")
            bridges = self._bridges(base, pairs.of(ENGLISH), language, material)
            swapped = [each.swapped(material.reporter) for each in bridges]
            files = tuple(each.file for each in bridges if each.file is not None)
            for role in Role:
                name = AdapterName(language, role)
                if self.partner:
                    require_partners(material.context, name)
                first, *later = (encode(base, pairs, role, each) for each in swapped)
                sites = self.sites_of(base, role, material.context.recipe)
                held = encode(base, held_out[language], role)
                task = Task(name, self._scope(role), sites, first, held, tuple(later), files)
                learners.append(AdapterLearner(base, task, self, material.context))
        if not learners:
            raise DataError(f"`corpus` must hold text that pairs a language with {ENGLISH}, but holds none.")
        return learners

    def _bridges(self, base: Base, english: tuple[str, ...], language: str, material: Material) -> list[Bridge]:
        """Return the bridged rows of the first epoch, and of the later ones where they differ."""
        if self.rebridge and not self.bridge:
            raise ConfigError("`fit.rebridge` must be false where `fit.bridge` is 0, but is true instead.")
        folder = None if material.work is None else material.work / "bridged"
        epochs = range(self.epochs if self.rebridge else 1)
        return [Bridge(base, english, language, self.bridge, self.seed, epoch, folder) for epoch in epochs]

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
        sites = [site for site in sites if self.layers.has(site, role)]
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
                f"the library's recipe must give the {role.value} a weight somewhere in `fit.sites` and `fit.layers`, "
                "but gives none. Name other sites or layers, or use another library."
            )
        for site in sites:
            if self.rank > min(base.shape(site)):
                raise ConfigError(
                    f"`fit.rank` must be at most {min(base.shape(site))}, the smaller side of {site}, "
                    f"but is {self.rank} instead."
                )
        return tuple(sites)


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
        swapped: Rows whose English side is replaced by another language's, where the result fits too.

    Returns:
        The rows, in order; which ones, ``swapped`` does not change.

    Raises:
        DataError: If no row fits.
    """
    language = foreign(pairs)

    def rows(other: str, near: Sequence[str], far: Sequence[str]) -> list[Row]:
        direction = Direction(language, other) if role is Role.SOURCE else Direction(other, language)
        texts, answers = (near, far) if role is Role.SOURCE else (far, near)
        return [Row(direction, row) for row in base.format.encode(direction, texts, answers)]

    def fits(row: Row) -> bool:
        return base.room(row.text) >= 0

    sides: dict[str, dict[int, str]] = {}
    for i, (other, text) in (swapped or {}).items():
        sides.setdefault(other, {})[i] = text
    found = rows(ENGLISH, pairs.of(language), pairs.of(ENGLISH))
    for other, texts in sides.items():
        bridged = rows(other, [pairs.of(language)[i] for i in texts], list(texts.values()))
        for i, row in zip(texts, bridged, strict=True):
            found[i] = row if fits(found[i]) and fits(row) else found[i]
    return fitting(base, found, pairs.origin)
