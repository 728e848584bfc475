"""Esperanto: plural -j and accusative -n on everything that agrees, one ending per verb form."""

from __future__ import annotations

from lingraft.corpus.phrasebook.values import Agreement, Entry, NounPhrase, Realiser, capitalise

CODE = "epo_Latn"
ENDINGS = {"present": "as", "past": "is", "future": "os", "inf": "i", "imp": "u"}
ACCUSATIVE = {"acc", "front"}


def inflect(word: str, plural: bool, case: str) -> str:
    """A noun, adjective or correlative in a number and case: "hundo" -> "hundojn"."""
    return word + ("j" if plural else "") + ("n" if case in ACCUSATIVE else "")


def verb(entry: Entry, form: str, agreement: Agreement) -> str:
    """A form of a verb; see `Realiser.verb`."""
    return entry.words[CODE].removesuffix("i") + ENDINGS[form]


def adjective(entry: Entry, form: str, agreement: Agreement) -> str:
    """A form of an adjective; "pli" and "plej" stand in the grammar."""
    word = entry.words[CODE]
    return word.removesuffix("a") + "e" if form == "adverb" else inflect(word, agreement.plural, "nom")


def determiner(phrase: NounPhrase, case: str) -> list[str]:
    """The words in front: an owner or correlative agrees, the article and numerals do not."""
    if phrase.owner:
        owner = "sia" if phrase.reflexive else phrase.owner.forms["epo_owner"]
        return [inflect(owner, phrase.plural, case)]
    if phrase.determiner is None or not phrase.determiner.words[CODE]:
        return []
    word = phrase.determiner.words[CODE]
    fixed = phrase.determiner.classes & {"article", "number"}
    return [word if fixed else inflect(word, phrase.plural, case)]


def noun_phrase(phrase: NounPhrase, case: str) -> str:
    """A noun phrase; see `Realiser.noun_phrase`."""
    if phrase.head.kind == "pronoun":
        return inflect(phrase.head.words[CODE], False, case)
    words = [] if case == "bare" else determiner(phrase, case)
    if phrase.adjective:
        words.append(inflect(phrase.adjective.words[CODE], phrase.plural, case))
    words.append(inflect(phrase.head.words[CODE], phrase.plural, case))
    return " ".join(words)


def relative(case: str, agreement: Agreement) -> str:
    """The relative pronoun; see `Realiser.relative`."""
    return inflect("kiu", agreement.plural, case)


ESPERANTO = Realiser(CODE, noun_phrase, verb, adjective, relative, capitalise)
