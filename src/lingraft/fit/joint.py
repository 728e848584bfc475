"""The joint regime: language-specific LoRA, all languages together, with learned indexing and pruning.

Cao, Qu, Kamigaito, Watanabe: Exploring Intrinsic Language-specific Subspaces in Fine-tuning Multilingual
Neural Machine Translation (EMNLP 2024), https://aclanthology.org/2024.emnlp-main.1177/. At each site
h = W x + B_l A_l x, where l is the row's source or target language as the layer's indexing says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from lingraft.atoms import AdapterName, ConfigError, Role, Site
from lingraft.atoms.config import Settings
from lingraft.base import Base
from lingraft.delta import prune
from lingraft.direction import Recipe, recipe_file
from lingraft.fit.fresh import named_sites
from lingraft.fit.indexing import paper
from lingraft.fit.joint_learner import EVERYONE, FFN, JointLearner
from lingraft.fit.learner import Learner
from lingraft.fit.multi import Multidirectional, both_ways, require_own_tokens
from lingraft.fit.settings import Material

UNUSED = ("o", "cross_o")
"""Sites that the paper leaves without updates: what attention puts out."""


class Pruning(Settings):
    """Gradual pruning by magnitude. Epochs are counted from 1."""

    share: float = Field(default=0.0, ge=0, lt=1)
    """P, the share that is pruned at the end; 0: nothing is."""
    start: int = Field(default=2, ge=1)
    """E0, the last epoch in which nothing is pruned."""
    length: int = Field(default=10, ge=1)
    """k, the epochs from nothing to all of it."""
    within: Literal["language", "layer"] = "language"
    """What competes: the entries of one language, or those of all languages in one layer."""
    factors: Literal["A", "B", "both"] = "B"
    """Which factor of an update is pruned."""


class Joint(Multidirectional):
    """Settings of the joint regime. Numbers of rows and steps are of all directions together."""

    rank: int = Field(default=8, ge=1, le=512)
    """Rank components of each update, for languages that ``ranks`` says nothing of."""
    ranks: dict[str, int] = Field(default_factory=dict)
    """Rank by language or by class; if given, it must reach every language."""
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Resource classes: name → languages."""
    sites: tuple[str, ...] | None = None
    """Names of the linear maps that carry updates; None: all but the attention's output, as in the paper."""
    ffn: Literal["whole", "first-d-model"] = "whole"
    """``first-d-model``: what the authors' code does, which adds to the first d outputs of fc1 and reads the
    first d inputs of fc2 only, d being the width of the model."""
    indexing: str = "paper"
    """Which language each layer is indexed by: ``paper``, or the path of a recipe."""
    learn: Literal["no", "layer", "site"] = "no"
    """Learn the indexing: both updates at each site, mixed by a softmax weight per layer or site."""
    mixing_rate: float = Field(default=0.03, gt=0)
    """Highest learning rate of those weights."""
    shared: bool = False
    """One update for all languages at each site: a baseline, not language-specific at all."""
    prune: Pruning = Pruning()
    """Gradual pruning."""

    def learners(self, base: Base, material: Material) -> list[Learner]:
        """Return the one learner that holds all adapters.

        Args:
            base: The base, which gives sites and format.
            material: Text of any pairs of languages; both directions of each are trained.

        Returns:
            One learner.

        Raises:
            ConfigError: If a setting does not fit the base or the languages.
            DataError: If no text fits the base.
        """
        layout = self.layout(base, material.languages)
        rows, dev = both_ways(base, material.corpus), both_ways(base, material.dev, "dev")
        return [JointLearner(base, self, layout, rows, dev)]

    def recipe(self, base: Base) -> Recipe:
        """Return the indexing that adapters are trained and used with.

        Args:
            base: The base, whose layers it is for.

        Returns:
            A recipe whose weights are 0 and 1.

        Raises:
            ConfigError: If the recipe's file is malformed, names what the base does not have, or mixes roles.
        """
        recipe = paper(base.sites) if self.indexing == "paper" else recipe_file.read(self.indexing)
        recipe.check(base.sites)
        for site in base.sites:
            if sorted(recipe.weight(site, role) for role in Role) != [0, 1]:
                raise ConfigError(
                    f"`fit.indexing` must give {site} to the source or to the target alone, with the weights [1, 0] or "
                    f"[0, 1], but gives it {[recipe.weight(site, role) for role in Role]} instead."
                )
        return recipe

    def layout(self, base: Base, languages: Sequence[str]) -> dict[AdapterName, dict[Site, int]]:
        """Return the sites and ranks of every adapter, after checking them all.

        Args:
            base: The base.
            languages: The languages of the text.

        Returns:
            Adapter → site → rank, in network order.

        Raises:
            ConfigError: If sites are strange, a language has no rank or class, a rank is larger than a site
                is wide, pruning does not fit or would leave nothing of a language, or a shared update
                would have its indexing learned.
        """
        sites = named_sites(base, self.sites or None, unused=UNUSED)
        if self.ffn != "whole" and not any(site.name in FFN for site in sites):
            raise ConfigError(
                f"`fit.ffn` must be whole for the family {base.family.name}, but is {self.ffn}: it has no fc1 and fc2."
            )
        ranks = self.ranks_of(languages)
        widest = min(min(base.shape(site)) for site in sites)
        if large := {language: rank for language, rank in ranks.items() if rank > widest}:
            raise ConfigError(f"the ranks must be at most {widest}, the smallest side of a site, but are {large}.")
        if self.shared:
            require_own_tokens(base, languages, "`fit.shared`")
            if self.learn != "no":
                raise ConfigError(
                    f"`fit.learn` must be no where `fit.shared` is true, but is {self.learn}: one update for all "
                    "languages is indexed by none. Leave one of the two out."
                )
            everyone = {AdapterName(EVERYONE, Role.TARGET): dict.fromkeys(sites, self.rank)}
            self._check_pruning(base, everyone)
            return everyone
        recipe = self.recipe(base)
        layout = {
            AdapterName(language, role): {
                site: ranks[language] for site in sites if self.learn != "no" or role in recipe.roles(site)
            }
            for language in languages
            for role in Role
        }
        self._check_pruning(base, layout)
        return layout

    def ranks_of(self, languages: Sequence[str]) -> dict[str, int]:
        """Return the rank of each language: its own, that of its class, or ``rank`` where ``ranks`` is empty.

        Args:
            languages: The languages of the text.

        Returns:
            Language → rank.

        Raises:
            ConfigError: If a language has no class or rank though others have, or a name is none of these.
        """
        class_of = {language: name for name, members in self.classes.items() for language in members}
        if sum(map(len, self.classes.values())) > len(class_of):
            raise ConfigError("`fit.classes` must hold each language once, but holds one twice.")
        if unknown := sorted(set(self.ranks) - set(self.classes) - set(languages)):
            raise ConfigError(
                f"`fit.ranks` must name classes or languages of the text, but names {', '.join(unknown)} instead."
            )
        if self.classes and (missing := [language for language in languages if language not in class_of]):
            raise ConfigError(f"`fit.classes` must hold every language, but {', '.join(missing)} is in none.")
        ranks = {
            language: self.ranks.get(language, self.ranks.get(class_of.get(language, ""))) for language in languages
        }
        if self.ranks and (bare := [language for language, rank in ranks.items() if rank is None]):
            raise ConfigError(f"`fit.ranks` must reach every language, but {', '.join(bare)} has no rank.")
        found = {language: self.rank if rank is None else rank for language, rank in ranks.items()}
        if low := {language: rank for language, rank in found.items() if rank < 1}:
            raise ConfigError(f"the ranks must be at least 1, but are {low}.")
        return found

    def _check_pruning(self, base: Base, layout: Mapping[AdapterName, Mapping[Site, int]]) -> None:
        if not self.prune.share:
            return
        if self.learn != "no":
            raise ConfigError("`fit.prune.share` must be 0 while the indexing is learned. Prune in the run after it.")
        if self.epochs < self.prune.start + self.prune.length:
            raise ConfigError(
                f"`fit.epochs` must be at least {self.prune.start + self.prune.length}, where pruning ends, "
                f"but is {self.epochs}. Train longer, or lower fit.prune.start or fit.prune.length."
            )
        entries: dict[str, int] = {}
        for name, sites in layout.items():
            for site, rank in sites.items():
                out, width = base.shape(site)
                side = {"A": width, "B": out, "both": min(out, width)}[self.prune.factors]
                entries[name.language] = entries.get(name.language, 0) + rank * side
        prune.require_survivors(entries, self.prune.share)
