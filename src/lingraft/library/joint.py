"""Train all languages of a library together, in the joint regime, and install them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from lingraft.atoms import AdapterName, ConfigError, LibraryError, Role
from lingraft.atoms.config import Settings
from lingraft.atoms.durable import write_file
from lingraft.atoms.languages import name
from lingraft.base import Base
from lingraft.corpus import Pairs, between, remarks, suspicions
from lingraft.corpus.profile import Profile
from lingraft.direction import Recipe, recipe_file
from lingraft.fit import Indexing, Joint, Reporter, Run, fit, hold_out
from lingraft.fit.joint_learner import JointLearner
from lingraft.fit.parallel import team
from lingraft.library import disk, like
from lingraft.library.grow import record, watched
from lingraft.library.like import require_named, token_parameters
from lingraft.library.manifest import Pointer
from lingraft.library.module import LanguageModule
from lingraft.library.store import Library
from lingraft.library.window import left_out


class JointConfig(Settings):
    """What `lingraft fit-joint` reads."""

    base: str
    """``demo``, a folder, or a hub id."""
    library: str
    """Folder of the library; made if there is none. Where the indexing is learned, the folder for what was learned."""
    pairs: str
    """Text of pairs of languages, e.g. 'DIR/{a}-{b}.tsv.gz'; codes in alphabetical order."""
    dev: str | None = None
    """Dev text, as ``pairs``; none: some rows of the training text."""
    languages: tuple[str, ...]
    """Codes or names of the languages, at least two."""
    like: dict[str, str] = Field(default_factory=dict)
    """Language that the base's tokenizer has no token for → the language whose token it borrows."""
    fit: Joint = Joint()
    """The regime."""


@dataclass(frozen=True)
class JointPlan:
    """What is going to be trained, from what, with what; nothing is written yet."""

    corpus: tuple[Pairs, ...]
    dev: tuple[Pairs, ...]
    regime: Joint
    layout: dict[AdapterName, int]
    """Parameters of each adapter."""
    notes: tuple[str, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the text, sorted."""
        return tuple(sorted({language for pairs in self.corpus for language in (pairs.a, pairs.b)}))

    def describe(self, base: Base) -> str:
        """Return the plan as text."""
        total = sum(parameter.numel() for parameter in base.model.parameters())
        trained = sum(self.layout.values())
        ranks = self.regime.ranks_of(self.languages)
        rows = 2 * sum(map(len, self.corpus))
        lines = [
            f"base      {base.id}: {base.family.name}, {total / 1e6:.1f} M parameters, frozen",
            f"adapters  {len(self.layout)} for {len(self.languages)} languages, trained together; "
            f"{trained / 1e3:.0f} k parameters ({100 * trained / total:.2f} %)",
            f"text      {rows} rows of {2 * len(self.corpus)} directions, {2 * sum(map(len, self.dev))} for dev",
            "ranks     " + ", ".join(f"{name(language)} {ranks[language]}" for language in self.languages),
        ]
        lines += like.describe(base, self.languages)
        return "\n".join([*lines, *(f"note      {note}" for note in self.notes)])


def plan_joint(base: Base, languages: Sequence[str], pairs: str, dev: str | None, regime: Joint) -> JointPlan:
    """Read and check all that joint training needs.

    Args:
        base: The base.
        languages: Codes.
        pairs: Where the text is (see ``corpus.between``).
        dev: Where the dev text is; None: some rows of the training text are held out.
        regime: The settings.

    Returns:
        The plan.

    Raises:
        LanguageError: If the base's format can't name a language.
        DataError: If text is missing or malformed, or no row of one fits the base.
        ConfigError: If a setting does not fit the base or the languages.
    """
    corpus = between(pairs, languages)
    for language in languages:
        require_named(base, language)
    layout = regime.layout(base, sorted(languages))
    given = [] if dev is None else between(dev, languages)
    notes = remarks(corpus, given, together=True) + suspicions(corpus)
    train, held_out = (corpus, given) if given else hold_out(corpus, regime.seed, together=regime.together)
    if not given:
        notes += _kept_apart(corpus, train, held_out)
    notes += left_out(base, train) + left_out(base, held_out, "dev rows")
    counts = {
        adapter: sum(rank * sum(base.shape(site)) for site, rank in ranks.items()) + token_parameters(base, adapter)
        for adapter, ranks in layout.items()
    }
    return JointPlan(tuple(train), tuple(held_out), regime, counts, tuple(notes))


def _kept_apart(corpus: Sequence[Pairs], train: Sequence[Pairs], dev: Sequence[Pairs]) -> list[str]:
    """Return a line for each text of which rows are left out, since a sentence of theirs is held out."""
    counts = [len(pairs) - len(left) - len(held) for pairs, left, held in zip(corpus, train, dev, strict=True)]
    return [
        f"{pairs.origin}: left out {count} that share a sentence with rows held out for dev"
        for pairs, count in zip(corpus, counts, strict=True)
        if count
    ]


def _fit(base: Base, path: Path, wanted: JointPlan, reporter: Reporter | None) -> Run:
    with watched(path, wanted.languages, reporter) as told:
        return fit(base, wanted.corpus, wanted.regime, dev=wanted.dev, work=path / ".runs", reporter=told)


def learn_indexing(base: Base, path: Path, wanted: JointPlan, *, reporter: Reporter | None = None) -> Indexing:
    """Learn which language each layer is indexed by, and write it down as a recipe for the next run.

    The recipe is ``indexing.yaml``, the weights that it was read from ``indexing.json``. The checkpoints are kept until
    both are written. Of several processes only the lead writes.

    Args:
        base: The base.
        path: Folder for checkpoints and for what was learned; made if there is none.
        wanted: A plan with ``fit.learn`` on.
        reporter: Is told about progress.

    Returns:
        The learned weights.

    Raises:
        ConfigError: If the plan learns none, or the recipe cannot be written.
        LibraryError: If the disk is full or failed.
        TrainingError: If training stopped.
    """
    run = _fit(base, path, wanted, reporter)
    found = next(each.indexing() for each in run.learners if isinstance(each, JointLearner))
    if found is None:
        raise ConfigError("`fit.learn` must be layer or site, but is no instead.")
    team().led(lambda: _write_indexing(found, path))
    if run.checkpoints is not None:
        run.checkpoints.clear()
    return found


def _write_indexing(found: Indexing, path: Path) -> None:
    """Write what was learned as a recipe, with its weights beside it."""
    comment = (
        "Indexing learned by lingraft fit-joint, after LSLo: https://aclanthology.org/2024.emnlp-main.1177/\n"
        f"Mean entropy {found.entropy():.3f} bits, mean weight of the chosen role {found.hardness():.3f}."
    )
    with disk.reported(path):
        disk.make_folder(path)
    recipe_file.write(found.recipe(), path / "indexing.yaml", comment)
    weights = path / "indexing.json"
    with disk.reported(weights):
        write_file(weights, (json.dumps(found.to_json(), indent=1) + "\n").encode())


def grow_joint(
    base: Base, path: Path, wanted: JointPlan, *, reporter: Reporter | None = None, command: str | None = None
) -> dict[str, Pointer]:
    """Train what a plan says and install it; run again after an interruption, it goes on where it was.

    Args:
        base: The base.
        path: The library; made if there is none, with the regime's indexing as its recipe.
        wanted: The plan.
        reporter: Is told about progress.
        command: The command line, for the manifests.

    Returns:
        Which versions of the languages are installed now. Of several processes only the lead installs; the others
        return nothing.

    Raises:
        ConfigError: If the regime does not end in two adapters per language, or the library has another recipe.
        LibraryError: If the library is of another base, or the disk failed.
        TrainingError: If training stopped.
    """
    recipe = wanted.regime.recipe(base)
    _require_both_roles(wanted, base, recipe)
    profiles = {
        language: Profile.train(
            language, [line for text in _texts(wanted.corpus, language) for line in text.of(language)]
        )
        for language in wanted.languages
    }
    here = team()
    library = here.first(lambda: Library.ensure(path, base, recipe=recipe, scope="everywhere"))
    if library.card.scope != "everywhere" or library.recipe.resolve(base.sites) != recipe.resolve(base.sites):
        raise LibraryError(
            f"`{path}` must be a library whose adapters act everywhere, with the recipe of this run, but is another. "
            "Use a new folder."
        )
    run = _fit(base, path, wanted, reporter)
    modules = {language: _module(run, wanted, language, profiles[language], command) for language in wanted.languages}
    pointers = here.led(lambda: library.add(modules)) or {}
    if run.checkpoints is not None:
        run.checkpoints.clear()
    return pointers


def _module(run: Run, wanted: JointPlan, language: str, profile: Profile, command: str | None) -> LanguageModule:
    source, target = (run.trained[AdapterName(language, role)] for role in Role)
    texts = [(text, len(text)) for text in _texts(wanted.corpus, language)]
    records = [record(texts, wanted.regime, each, command, wanted.languages) for each in (source, target)]
    return LanguageModule(source.adapter, target.adapter, records[0], records[1], profile)


def _texts(corpus: Sequence[Pairs], language: str) -> list[Pairs]:
    return [text for text in corpus if language in (text.a, text.b)]


def _require_both_roles(wanted: JointPlan, base: Base, recipe: Recipe) -> None:
    """Check that every language will have two adapters, as a library wants."""
    if wanted.regime.shared:
        raise ConfigError("`fit.shared` must be false for a library: one update for all is no language's adapter.")
    for role in Role:
        if not any(wanted.layout.get(AdapterName(language, role)) for language in wanted.languages):
            raise ConfigError(
                f"`fit.indexing` must give the {role.value} at least one of the {len(base.sites)} sites of the base, "
                f"but gives all to the other: {recipe}. Use another recipe."
            )
