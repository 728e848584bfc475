"""The values of the phrasebook: lexicon entries, noun phrases, and what a language must know to say them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of the lexicon: a meaning and its word in each language.

    Attributes:
        kind: The table it comes from ("noun", "verb", …); of closed classes the kind in the row ("time", "manner", …).
        words: Language code -> dictionary form.
        forms: Column name -> value of the columns that only some languages need, e.g. English "plural" or "past".
        classes: What it is, e.g. {"person", "job"}; a slot of the grammar asks for one of them.
        takes: What goes with it: for a verb the classes of its objects and its manners.
    """

    kind: str
    words: Mapping[str, str]
    forms: Mapping[str, str] = field(default_factory=dict)
    classes: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()


class Agreement(NamedTuple):
    """What a subject or noun imposes on the words that agree with it."""

    person: int = 3
    plural: bool = False
    human: bool = False


ONE, MANY = Agreement(), Agreement(plural=True)


@dataclass(frozen=True, eq=False)
class NounPhrase:
    """A noun, name or pronoun with everything in front of it; languages differ only in how they say it."""

    head: Entry
    plural: bool = False
    determiner: Entry | None = None
    owner: Entry | None = None
    """The pronoun that owns the thing: "my", "her"."""
    reflexive: bool = False
    """Whether the owner is the subject, in the third person: Esperanto "sia", Ido "sua"."""
    adjective: Entry | None = None

    @property
    def agreement(self) -> Agreement:
        """Person, number and humanity, for verbs, adjectives and relative pronouns."""
        person = int(self.head.forms.get("person", 3))
        return Agreement(person, self.plural, bool(self.head.classes & {"person", "kin", "name"}))


@dataclass(frozen=True)
class Realiser:
    """How one language says the parts of a sentence; `finish` polishes the whole."""

    code: str
    noun_phrase: Callable[[NounPhrase, str], str]
    """Of a phrase and a case: "nom", "acc", "prep", "front" (object before the subject), "gen" or "bare"."""
    verb: Callable[[Entry, str, Agreement], str]
    """Of a verb, a form and its subject's agreement.

    The forms are "present", "past", "future", "inf", "imp", "ing" and "participle"; the last two only where the
    grammar asks for them.
    """
    adjective: Callable[[Entry, str, Agreement], str]
    """Of an adjective, a form ("plain", "more", "most", "adverb") and its noun's agreement."""
    relative: Callable[[str, Agreement], str]
    """The relative pronoun, of its case ("nom" or "acc") and its antecedent's agreement."""
    finish: Callable[[str], str]


def capitalise(text: str) -> str:
    """The text with its first letter in upper case, wherever quotes put it."""
    for place, letter in enumerate(text):
        if letter.isalpha():
            return text[:place] + letter.upper() + text[place + 1 :]
    return text
