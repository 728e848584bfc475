"""English: articles, irregular forms, the third person, and do-support through the verb "do"."""

from __future__ import annotations

from lingraft.corpus.phrasebook.values import Agreement, Entry, NounPhrase, Realiser, capitalise

CODE = "eng_Latn"
VOWELS = "aeiou"
AN_BEFORE, A_BEFORE = ("honest", "hour"), ("uni", "use", "euro")
THIRD = {"have": "has", "can": "can", "must": "must"}
BE = {
    "present": {(1, False): "am", (3, False): "is"},
    "past": {(1, False): "was", (3, False): "was"},
}
BE_ELSE = {"present": "are", "past": "were"}


def article(word: str) -> str:
    """The indefinite article, by the sound that `word` begins with."""
    vowel = word[0] in VOWELS and not word.startswith(A_BEFORE)
    return "an" if vowel or word.startswith(AN_BEFORE) else "a"


def add_s(word: str) -> str:
    """The word with the ending of a plural or of the third person."""
    if word.endswith(("s", "x", "z", "ch", "sh", "o")):
        return word + "es"
    if word.endswith("y") and word[-2] not in VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def plural(noun: Entry) -> str:
    """The plural of a noun."""
    return noun.forms.get("plural") or add_s(noun.words[CODE])


def past(verb: Entry) -> str:
    """The simple past of a verb, particle included."""
    if verb.forms.get("past"):
        return with_particle(verb, verb.forms["past"])
    word = verb.words[CODE].split()[0]
    if word.endswith("y") and word[-2] not in VOWELS:
        return with_particle(verb, word[:-1] + "ied")
    return with_particle(verb, word + ("d" if word.endswith("e") else "ed"))


def gerund(verb: Entry) -> str:
    """The -ing form of a verb, particle included."""
    word = verb.words[CODE].split()[0]
    regular = (word[:-1] if word.endswith("e") else word) + "ing"
    return with_particle(verb, verb.forms.get("gerund") or regular)


def with_particle(verb: Entry, form: str) -> str:
    """A form of the first word of the verb, followed by the rest: "looked" + "at"."""
    rest = verb.words[CODE].split()[1:]
    return form if form.endswith(" to") else " ".join([form, *rest])


def present(verb: Entry, agreement: Agreement) -> str:
    """The simple present of a verb."""
    word = verb.words[CODE].split()[0]
    third = agreement.person == 3 and not agreement.plural
    return with_particle(verb, (THIRD.get(word) or add_s(word)) if third else word)


def verb(entry: Entry, form: str, agreement: Agreement) -> str:
    """A form of a verb; see `Realiser.verb`."""
    base = entry.words[CODE]
    if form == "future":
        return "will" if "aux" in entry.classes else f"will {base}"
    if base == "be" and form in BE:
        return BE[form].get((agreement.person, agreement.plural), BE_ELSE[form])
    if form == "present":
        return present(entry, agreement)
    if form == "past":
        return past(entry)
    if form == "participle":
        return entry.forms.get("participle") or past(entry)
    return gerund(entry) if form == "ing" else base


def adjective(entry: Entry, form: str, agreement: Agreement) -> str:
    """A form of an adjective; see `Realiser.adjective`."""
    word = entry.words[CODE]
    if form == "more":
        return entry.forms.get("comparative") or f"more {word}"
    if form == "most":
        return entry.forms.get("superlative") or f"most {word}"
    return word


def pronoun(entry: Entry, case: str) -> str:
    """A personal pronoun as subject or not."""
    return entry.words[CODE] if case == "nom" else entry.forms["eng_object"]


def noun_phrase(phrase: NounPhrase, case: str) -> str:
    """A noun phrase; see `Realiser.noun_phrase`."""
    if phrase.head.kind == "pronoun":
        return pronoun(phrase.head, case)
    words = [plural(phrase.head) if phrase.plural else phrase.head.words[CODE]]
    if phrase.adjective:
        words.insert(0, phrase.adjective.words[CODE])
    if case == "bare":
        return " ".join(words)
    if phrase.owner:
        words.insert(0, phrase.owner.forms["eng_owner"])
    elif phrase.determiner and (word := phrase.determiner.words[CODE]):
        words.insert(0, article(words[0]) if word == "a" else word)
    text = " ".join(words)
    if case == "gen":
        return text + ("'" if phrase.plural and text.endswith("s") else "'s")
    return text


def relative(case: str, agreement: Agreement) -> str:
    """The relative pronoun; see `Realiser.relative`."""
    if not agreement.human:
        return "that"
    return "who" if case == "nom" else "whom"


ENGLISH = Realiser(CODE, noun_phrase, verb, adjective, relative, capitalise)
