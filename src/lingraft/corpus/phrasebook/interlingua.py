"""Interlingua: plural -s or -es, no agreement, the contractions "al" and "del", adjectives after most nouns."""

from __future__ import annotations

import re

from lingraft.corpus.phrasebook.values import Agreement, Entry, NounPhrase, Realiser, capitalise

CODE = "ina_Latn"
SHORT = {"esser": {"present": "es", "past": "era"}, "haber": {"present": "ha"}, "vader": {"present": "va"}}
CONTRACTION = re.compile(r"\b(a|de) le\b")


def plural(noun: str) -> str:
    """The plural of a noun: -s after a vowel, -es after a consonant."""
    return noun + ("s" if noun[-1] in "aeiou" else "es")


def verb(entry: Entry, form: str, agreement: Agreement) -> str:
    """A form of a verb, particle included ("comenciar a"); see `Realiser.verb`."""
    infinitive, *rest = entry.words[CODE].split()
    stem = infinitive.removesuffix("r")
    participle = (stem[:-1] + "i" if stem.endswith("e") else stem) + "te"
    regular = {
        "present": stem,
        "past": stem + "va",
        "future": infinitive + "a",
        "inf": infinitive,
        "imp": stem,
        "participle": participle,
    }
    return " ".join([SHORT.get(infinitive, {}).get(form) or regular[form], *rest])


def adjective(entry: Entry, form: str, agreement: Agreement) -> str:
    """An adjective, which never changes; "plus" stands in the grammar."""
    return entry.words[CODE]


def pronoun(entry: Entry, case: str) -> str:
    """A personal pronoun as subject, as object before the verb, or after a preposition."""
    return {"nom": entry.words[CODE], "prep": entry.forms["ina_after"]}.get(case, entry.forms["ina_object"])


def noun_phrase(phrase: NounPhrase, case: str) -> str:
    """A noun phrase; see `Realiser.noun_phrase`."""
    if phrase.head.kind == "pronoun":
        return pronoun(phrase.head, case)
    head = phrase.head.words[CODE]
    words = [plural(head) if phrase.plural else head]
    if phrase.adjective:
        words.insert(0 if "first" in phrase.adjective.classes else 1, phrase.adjective.words[CODE])
    if case == "bare":
        return " ".join(words)
    if phrase.owner:
        words.insert(0, phrase.owner.forms["ina_owner"])
    elif phrase.determiner and phrase.determiner.words[CODE]:
        words.insert(0, phrase.determiner.words[CODE])
    return " ".join(words)


def relative(case: str, agreement: Agreement) -> str:
    """The relative pronoun; see `Realiser.relative`."""
    return "qui" if agreement.human and case == "nom" else "que"


def finish(text: str) -> str:
    """Contracts "a le" and "de le", then capitalises."""
    return capitalise(CONTRACTION.sub(r"\1l", text))


INTERLINGUA = Realiser(CODE, noun_phrase, verb, adjective, relative, finish)
