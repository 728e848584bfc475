"""What tables and pictures call the languages, groups and vias."""

from __future__ import annotations

from collections.abc import Sequence

from lingraft.atoms import LanguageError
from lingraft.atoms.languages import name as language_name

VIA_TITLES = {"base": "Base", "direct": "Direct", "pivot": "Pivot"}


def short_codes(languages: Sequence[str]) -> dict[str, str]:
    """Return codes without the script where that stays unambiguous: "deu", but "srp_Cyrl" beside "srp_Latn"."""
    heads = [code.split("_")[0] for code in languages]
    return {code: head if heads.count(head) == 1 else code for code, head in zip(languages, heads, strict=True)}


def full_name(code: str) -> str:
    """Return the English name of a language, or its code if it has none."""
    try:
        return language_name(code)
    except LanguageError:
        return code


def probability(p: float) -> str:
    """Return a p-value with three digits; resampling never shows that it is 0."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def group_title(group: str, pivot: str) -> str:
    """Return the title of a group of directions, e.g. "into English"."""
    words = {"without_pivot": "without", "into_pivot": "into", "out_of_pivot": "out of"}
    return f"{words[group]} {full_name(pivot)}"
