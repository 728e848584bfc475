"""Fills the slots of a pattern with words that go together, using every word about equally often."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from lingraft.corpus.phrasebook.grammar import Pattern, Slot
from lingraft.corpus.phrasebook.lexicon import Lexicon
from lingraft.corpus.phrasebook.values import Entry, NounPhrase

Filler = Entry | NounPhrase


class NoFitError(Exception):
    """The words chosen so far leave nothing sensible for a slot; the caller begins the sentence anew."""


@dataclass(frozen=True)
class Style:
    """How a noun phrase is introduced: one of `ways` is drawn, and an adjective with a probability."""

    ways: str
    adjective: float = 0.0
    numbers: tuple[bool, ...] = (False, False, True)
    """Whether plural, one of these is drawn."""
    owners: str = "I you we"


SINGULAR = (False,)
EVERYONE = "I you he she we they"
STYLES = {
    "np": Style("the the the a a a pointer owner few amount", 0.25),
    "the": Style("the the the the pointer owner", 0.15),
    "any": Style("the the the the pointer owner few", 0.15, owners=EVERYONE),
    "plain": Style("the the the the pointer owner owner", owners=EVERYONE),
    "own": Style("self", 0.15),
    "count": Style("number number amount", 0.25),
    "few": Style("few amount", 0.25),
    "some": Style("a a few amount", 0.25),
    "several": Style("none", 0.2, numbers=(True,)),
    "generic": Style("none", numbers=(True,)),
    "which": Style("which", 0.15),
    "definite": Style("the"),
    "definite1": Style("the", numbers=SINGULAR),
    "singular": Style("a a owner owner the", 0.2, SINGULAR, EVERYONE),
    "one": Style("a", numbers=SINGULAR),
    "fine": Style("a", 1.0, SINGULAR),
    "means": Style("none", numbers=SINGULAR),
}
LIMITS = frozenset({"mass", "single", "unique", "common"})
"""Labels of nouns that some determiners do not go with: no plural, only "the", one to an owner, nobody's own."""
MASS_WAYS = {"a": "none", "number": "none", "few": "none", "amount": "none"}


def gender(phrase: NounPhrase) -> str:
    """The gender "m" or "f", empty where the words leave it open."""
    return phrase.head.forms.get("gender") or "".join(phrase.head.classes & {"m", "f"})


def labels_of(filler: Filler) -> frozenset[str]:
    """What a word that goes with the filler must belong to: "@x" in the grammar."""
    return filler.takes if isinstance(filler, Entry) else filler.head.classes


def entries_of(filler: Filler) -> list[Entry]:
    """The words of a filler that the grammar chose: the entry, or head and adjective."""
    if isinstance(filler, Entry):
        return [filler]
    return [filler.head, filler.adjective] if filler.adjective else [filler.head]


def check(fillers: Iterable[Filler]) -> None:
    """Raises `NoFitError` for a word used twice, and for "I see me", "we see me"."""
    entries = [entry for filler in fillers for entry in entries_of(filler)]
    persons = [entry.forms["person"] for entry in entries if entry.kind == "pronoun"]
    first_and_second = [person for person in persons if person != "3"]
    if len(set(entries)) < len(entries) or len(set(first_and_second)) < len(first_and_second):
        raise NoFitError


class Chooser:
    """Chooses the words of sentences from a lexicon, deterministically for a random generator."""

    def __init__(self, lexicon: Lexicon, rng: random.Random) -> None:
        """Starts with no word used; all choices come from `rng`."""
        self.lexicon, self.rng = lexicon, rng
        self.used: Counter[Entry] = Counter()
        self.filled: dict[str, Filler] = {}
        self.special: dict[str, Callable[[tuple[str, ...]], Filler]] = {
            "who": lambda labels: self.person(pronouns=0.35),
            "someone": lambda labels: self.person(pronouns=0.0),
            "whom": lambda labels: self.person(pronouns=0.35),
            "they": lambda labels: self.pronoun(),
            "single": lambda labels: self.single("he", "she"),
            "named": lambda labels: self.single(),
            "name": lambda labels: NounPhrase(self.entry("name", labels)),
            "within": lambda labels: self.within(),
            "same": self.same,
            "like": self.like,
            "relative": self.relative,
            "number": lambda labels: self.entry("determiner", ("number",)),
        }

    def fill(self, pattern: Pattern) -> dict[str, Filler]:
        """Fillers for all slots of the pattern; raises `NoFitError` if the words drawn do not go together."""
        self.filled = {}
        for slot in pattern.slots:
            self.filled[slot.name] = self.choose(slot)
        check(self.filled[slot.name] for slot in pattern.slots if slot.chooser != "same")
        return self.filled

    def choose(self, slot: Slot) -> Filler:
        """A filler for one slot, given those before it."""
        if slot.chooser in self.special:
            return self.special[slot.chooser](slot.labels)
        if slot.chooser in STYLES:
            return self.noun_phrase(self.entry("noun", slot.labels), STYLES[slot.chooser])
        return self.entry(slot.chooser, slot.labels)

    def draw(self, entries: Sequence[Entry]) -> Entry:
        """The less used of two random entries."""
        if not entries:
            raise NoFitError
        entry = min(self.rng.choices(entries, k=2), key=self.used.__getitem__)
        self.used[entry] += 1
        return entry

    def entry(self, kind: str, labels: Iterable[str] = ()) -> Entry:
        """An entry of a kind with one of the labels, where "@x" stands for what goes with slot x and "!" excludes."""
        wanted: set[str] = set()
        unwanted: set[str] = set()
        for label in labels:
            if label.startswith("@"):
                wanted |= labels_of(self.filled[label[1:]]) or {"nothing"}
            elif label.startswith("!"):
                unwanted.add(label[1:])
            else:
                wanted.add(label)
        return self.draw([entry for entry in self.lexicon.select(kind, wanted) if not entry.classes & unwanted])

    def person(self, pronouns: float) -> NounPhrase:
        """A person as pronoun, name or noun phrase."""
        chance = self.rng.random()
        if chance < pronouns:
            return self.pronoun()
        if chance < pronouns + 0.5 * (1 - pronouns):
            return NounPhrase(self.entry("name", ("name",)))
        return self.noun_phrase(self.entry("noun", ("person", "kin")), STYLES["any"])

    def pronoun(self, *keys: str) -> NounPhrase:
        """A personal pronoun, one of the keys if any are given."""
        head = self.lexicon.named("pronoun", self.rng.choice(keys or EVERYONE.split()))
        return NounPhrase(head, plural=head.forms["number"] == "many")

    def single(self, *pronouns: str) -> NounPhrase:
        """One person: a name, "the teacher", or one of the pronouns."""
        way = self.rng.randrange(3 if pronouns else 2)
        if way == 2:
            return self.pronoun(*pronouns)
        if way == 1:
            return self.noun_phrase(self.entry("noun", ("person", "kin")), STYLES["definite1"])
        return NounPhrase(self.entry("name", ("name",)))

    def within(self) -> NounPhrase:
        """What one can live in: a city, a country, "the village"."""
        if self.rng.random() < 0.6:
            return NounPhrase(self.entry("name", ("city", "country")))
        return self.noun_phrase(self.entry("noun", ("town", "home")), STYLES["definite1"])

    def same(self, labels: tuple[str, ...]) -> NounPhrase:
        """The pronoun for an earlier filler, where its gender is known."""
        phrase = self.filled[labels[0]]
        assert isinstance(phrase, NounPhrase)
        if phrase.head.kind == "pronoun":
            return phrase
        key = "they" if phrase.plural else {"m": "he", "f": "she"}.get(gender(phrase))
        if key is None:
            raise NoFitError
        return self.pronoun(key)

    def like(self, labels: tuple[str, ...]) -> NounPhrase:
        """The same phrase as an earlier filler about another thing of its class: "my dog" -> "my horse"."""
        phrase = self.filled[labels[0]]
        assert isinstance(phrase, NounPhrase)
        first = phrase.head.forms["classes"].split(",")[0]
        wanted = labels_of(self.filled[labels[1][1:]]) if len(labels) > 1 else {first}
        peers = [
            peer
            for peer in self.lexicon.select("noun", (first,))
            if peer.classes & wanted and peer.classes & LIMITS == phrase.head.classes & LIMITS
        ]
        return replace(phrase, head=self.draw(peers), adjective=None)

    def relative(self, labels: tuple[str, ...]) -> NounPhrase:
        """The relation that a named person can be: "the sister" of somebody."""
        phrase = self.filled[labels[0]]
        assert isinstance(phrase, NounPhrase)
        peers = [entry for entry in self.lexicon.select("noun", ("kin",)) if gender(phrase) in entry.classes]
        return NounPhrase(self.draw(peers), determiner=self.lexicon.named("determiner", "the"))

    def noun_phrase(self, head: Entry, style: Style) -> NounPhrase:
        """A noun with what introduces it; relatives and hands have an owner, mass nouns no plural."""
        way, plural = self.rng.choice(style.ways.split()), self.rng.choice(style.numbers)
        if "mass" in head.classes:
            way, plural = MASS_WAYS.get(way, way), False
        if "abstract" in head.classes:
            way = "general"
        if "single" in head.classes:
            way, plural = "the", False
        if "unique" in head.classes:
            way, plural = "self" if way == "self" else "owner", False
        counted = "kin" in head.classes and way in {"number", "few", "amount"}
        if head.classes & {"kin", "body"} and way != "self" and not counted:
            way = "owner"
        if "common" in head.classes and way in {"owner", "self"}:
            way = "the"
        phrase = NounPhrase(head, plural, adjective=self.adjective(head, style))
        if way == "owner":
            return replace(phrase, owner=self.lexicon.named("pronoun", self.rng.choice(style.owners.split())))
        if way == "self":
            owner = self.same(("s",)).head
            return replace(phrase, owner=owner, reflexive=owner.forms["person"] == "3")
        if way in {"the", "a", "none", "which", "general"}:
            key = "none" if way == "a" and plural else way
            return replace(phrase, determiner=self.lexicon.named("determiner", key))
        wanted = "one" if way == "pointer" and not plural else "many"
        pool = [entry for entry in self.lexicon.select("determiner", (way,)) if entry.forms["number"] == wanted]
        return replace(phrase, plural=wanted == "many", determiner=self.rng.choice(pool))

    def adjective(self, head: Entry, style: Style) -> Entry | None:
        """An adjective that fits the noun, now and then."""
        if self.rng.random() >= style.adjective:
            return None
        fitting = self.lexicon.select("adjective", head.classes)
        return self.draw(fitting) if fitting else None
