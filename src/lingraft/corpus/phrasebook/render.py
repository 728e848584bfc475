"""Says one filled pattern in one language."""

from __future__ import annotations

from collections.abc import Mapping

from lingraft.corpus.phrasebook.choose import Filler
from lingraft.corpus.phrasebook.english import ENGLISH
from lingraft.corpus.phrasebook.esperanto import ESPERANTO
from lingraft.corpus.phrasebook.grammar import Pattern, Token
from lingraft.corpus.phrasebook.ido import IDO
from lingraft.corpus.phrasebook.interlingua import INTERLINGUA
from lingraft.corpus.phrasebook.lexicon import load
from lingraft.corpus.phrasebook.values import MANY, ONE, Agreement, Entry, NounPhrase, Realiser

REALISERS = (ENGLISH, ESPERANTO, INTERLINGUA, IDO)
CODES = tuple(realiser.code for realiser in REALISERS)


def agreement(token: Token, fillers: Mapping[str, Filler], default: str | None) -> Agreement:
    """What the token agrees with: the slot it names, else the default slot, else a singular."""
    name = token.agrees or default
    if name in (None, "one", "many"):
        return MANY if name == "many" else ONE
    filler = fillers.get(str(name))
    return filler.agreement if isinstance(filler, NounPhrase) else ONE


def say_entry(entry: Entry, token: Token, fillers: Mapping[str, Filler], realiser: Realiser) -> str:
    """A single word in the form and agreement of the token."""
    if entry.kind == "verb":
        return realiser.verb(entry, token.form or "inf", agreement(token, fillers, "s"))
    if entry.kind == "adjective":
        return realiser.adjective(entry, token.form or "plain", agreement(token, fillers, None))
    return entry.words[realiser.code]


def say(token: Token, fillers: Mapping[str, Filler], realiser: Realiser) -> str:
    """The text of one token."""
    if token.name == "rel":
        return realiser.relative(token.form or "nom", agreement(token, fillers, None))
    filler = fillers.get(token.name) or load().named("verb", token.name)
    if isinstance(filler, Entry):
        return say_entry(filler, token, fillers, realiser)
    return realiser.noun_phrase(filler, token.form or "nom")


def render(pattern: Pattern, fillers: Mapping[str, Filler], realiser: Realiser) -> str:
    """The sentence of a filled pattern in one language."""
    parts = pattern.templates[realiser.code]
    return realiser.finish("".join(part if isinstance(part, str) else say(part, fillers, realiser) for part in parts))
