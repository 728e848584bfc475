"""What adding languages to a library will need: everything is read and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from lingraft.atoms import ENGLISH, DataError, LanguageError, Role
from lingraft.atoms.languages import name
from lingraft.base import Base
from lingraft.corpus import Pairs, read, remarks, suspicions
from lingraft.fit import Context, Modular, hold_out
from lingraft.fit.modular import foreign
from lingraft.library import like
from lingraft.library.like import require_named
from lingraft.library.store import Library
from lingraft.library.window import left_out


@dataclass(frozen=True)
class Plan:
    """What is going to be trained, from what, with what; nothing is written yet."""

    languages: tuple[str, ...]
    corpus: tuple[Pairs, ...]
    dev: tuple[Pairs, ...]
    regime: Modular
    notes: tuple[str, ...]
    context: Context

    def without(self, languages: Container[str]) -> Plan:
        """Return the plan without some languages."""
        left = [i for i, language in enumerate(self.languages) if language not in languages]
        chosen = lambda values: tuple(values[i] for i in left)
        return replace(self, languages=chosen(self.languages), corpus=chosen(self.corpus), dev=chosen(self.dev))

    def describe(self, base: Base) -> str:
        """Return the plan as text."""
        per_role = {
            role: sum(
                self.regime.rank * sum(base.shape(site))
                for site in self.regime.sites_of(base, role, self.context.recipe)
            )
            for role in Role
        }
        total = sum(parameter.numel() for parameter in base.model.parameters())
        lines = [
            f"base      {base.id}: {base.family.name}, {total / 1e6:.1f} M parameters, frozen",
            f"adapters  2 for each of {len(self.languages)} languages, rank {self.regime.rank}, acting "
            f"{'everywhere' if self.regime.scope == 'everywhere' else 'on their own span'}; "
            + ", ".join(f"{n / 1e3:.0f} k parameters ({100 * n / total:.2f} %) as {r}" for r, n in per_role.items()),
        ]
        for pairs, dev in zip(self.corpus, self.dev, strict=True):
            language = foreign(pairs)
            lines.append(
                f"text      {name(language)} ({language}): {len(pairs.left)} pairs with English, "
                f"{len(dev.left)} for dev, from {pairs.origin}"
            )
        lines += like.describe(base, self.languages)
        return "\n".join([*lines, *(f"note      {note}" for note in self.notes)])


def plan(
    base: Base,
    languages: Sequence[str],
    pattern: str,
    *,
    dev_pattern: str | None = None,
    regime: Modular,
    library: Library | None = None,
) -> Plan:
    """Read and check all that adding needs.

    Args:
        base: The base.
        languages: Codes of the languages to add.
        pattern: Where the text paired with English is (see ``corpus.read``).
        dev_pattern: Where the dev text is; None: some rows of the training text are held out.
        regime: The settings of the training.
        library: The library that they are added to, if it is there already.

    Returns:
        The plan.

    Raises:
        LanguageError: If a language is English, given twice, or the base's format can't name it.
        DataError: If text is missing or malformed, holds no letters, or no row of it fits the base.
        ConfigError: If a setting does not fit the base.
    """
    for language in languages:
        if language == ENGLISH:
            raise LanguageError("`languages` must be other than English: the text is paired with it, so it needs none.")
        require_named(base, language)
    if len(set(languages)) < len(languages) or not languages:
        raise LanguageError("`languages` must be at least one, each named once.")
    context = Context() if library is None else context_of(library, languages, everyone=regime.partner > 0)
    for role in Role:
        regime.sites_of(base, role, context.recipe)
    corpus = read(pattern, languages)
    given = [] if dev_pattern is None else read(dev_pattern, languages)
    for pairs in corpus:
        if not any(letter.isalpha() for line in pairs.of(foreign(pairs)) for letter in line):
            raise DataError(f"`{pairs.origin}` must hold letters in {foreign(pairs)}, but holds none. Give other text.")
    notes = remarks(corpus, given) + suspicions(corpus)
    notes += [
        f"{name(language)} is in the library already; what it has now stays in its history (`lingraft rollback`)"
        for language in languages
        if library is not None and library.places.installed(language)
    ]
    corpus, dev = (corpus, given) if given else hold_out(corpus, regime.seed)
    notes += left_out(base, corpus) + left_out(base, dev, "dev rows")
    return Plan(tuple(languages), tuple(corpus), tuple(dev), regime, tuple(notes), context)


def context_of(library: Library, added: Container[str], *, everyone: bool = False) -> Context:
    """Return what a library means for languages that are added to it.

    Args:
        library: The library.
        added: Those languages. What it has of them already does not count: the same plan is the same once it is done.
        everyone: Whether the adapters of all its languages take part, as `fit.partner` asks, or English's alone.

    Returns:
        Its recipe, and the adapters that stay frozen.
    """
    others = [code for code in library.languages() if code not in added and (everyone or code == ENGLISH)]
    return Context(library.recipe, library.bank(others))
