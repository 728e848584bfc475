"""Ido: plural -i in the place of -o, no agreement, -n only on an object that stands before its subject."""

from __future__ import annotations

import re

from lingraft.corpus.phrasebook.values import Agreement, Entry, NounPhrase, Realiser, capitalise

CODE = "ido_Latn"
ENDINGS = {"present": "as", "past": "is", "future": "os", "inf": "ar", "imp": "ez"}
EUPHONY = re.compile(r"\b([aeo])(?= [aeiouAEIOU])")


def inflect(word: str, plural: bool, case: str) -> str:
    """A noun in a number and case: "libro" -> "libri", fronted "librin"."""
    return (word.removesuffix("o") + "i" if plural else word) + ("n" if case == "front" else "")


def verb(entry: Entry, form: str, agreement: Agreement) -> str:
    """A form of a verb; see `Realiser.verb`."""
    return entry.words[CODE].removesuffix("ar") + ENDINGS[form]


def adjective(entry: Entry, form: str, agreement: Agreement) -> str:
    """An adjective, which never changes; "plu" and "maxim" stand in the grammar."""
    return entry.words[CODE]


def noun_phrase(phrase: NounPhrase, case: str) -> str:
    """A noun phrase; see `Realiser.noun_phrase`."""
    head = phrase.head.words[CODE]
    if phrase.head.kind != "noun":
        return head
    words = [inflect(head, phrase.plural, case)]
    if phrase.adjective:
        words.insert(0, phrase.adjective.words[CODE])
    if case == "bare":
        return " ".join(words)
    if phrase.owner:
        words.insert(0, "sua" if phrase.reflexive else phrase.owner.forms["ido_owner"])
    elif phrase.determiner and phrase.determiner.words[CODE]:
        words.insert(0, phrase.determiner.words[CODE])
    return " ".join(words)


def relative(case: str, agreement: Agreement) -> str:
    """The relative pronoun; an object stands before its subject and so ends in -n."""
    return ("qui" if agreement.plural else "qua") + ("n" if case == "acc" else "")


def finish(text: str) -> str:
    """Says "ad", "ed" and "od" before a vowel, then capitalises."""
    return capitalise(EUPHONY.sub(r"\1d", text))


IDO = Realiser(CODE, noun_phrase, verb, adjective, relative, finish)
