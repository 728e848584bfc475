"""Language names and codes in any usual form, to and from the internal code ``xxx_Yyyy``.

The internal code is that of FLORES-200 and NLLB-200: ISO 639-3, an underscore, ISO 15924. A code in
that full form is taken literally. Everything shorter is completed: a macrolanguage becomes the member
that NLLB uses (``zh`` is ``zho_Hans``, ``ar`` is ``arb_Arab``), a missing script the usual one (CLDR).

Not covered: variants and dialects below ISO 639-3 are accepted and dropped (``de-1996``, ``pt-BR``),
and a name that two languages share in two *other* languages means what `language_data` says first.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from lingraft.atoms.errors import LanguageError
from lingraft.atoms.language_tables import (
    AMBIGUOUS_CODES,
    AMBIGUOUS_FAMILIES,
    AMBIGUOUS_NAMES,
    MEMBER,
    MEMBER_BY_SCRIPT,
    MEMBER_BY_TERRITORY,
    NAME,
    SEVERAL_SCRIPTS,
    alpha2,
    alpha3,
    is_script,
    macros,
    usual_script,
)

_FULL = re.compile(r"([A-Za-z]{3})_([A-Za-z]{4})")
_TAG = re.compile(
    r"(?P<language>[A-Za-z]{2,3})(?:[-_](?P<extended>[A-Za-z]{3}))?(?:[-_](?P<script>[A-Za-z]{4}))?"
    r"(?:[-_](?P<territory>[A-Za-z]{2}|[0-9]{3}))?(?:[-_](?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*"
)
_NO_TERRITORY = {"XX", "ZZ"}  # mBART writes en_XX


@lru_cache(maxsize=4096)
def parse(text: str) -> str:
    """Return the internal code of a language.

    Args:
        text: A FLORES/NLLB code, a BCP-47 tag, an ISO 639 code, an M2M-100, mBART or DeepL code, or the
            name of the language in English or in another language.

    Returns:
        The code ``xxx_Yyyy``.

    Raises:
        LanguageError: The text is unknown (with neighbours) or has several usual answers (with them all).
    """
    spelled = unicodedata.normalize("NFC", text).strip()
    code = _resolve(spelled)
    if code is None:
        raise _unknown(spelled)
    return code


@lru_cache(maxsize=4096)
def find(text: str) -> str | None:
    """Return the internal code of a language, None where `parse` would refuse."""
    try:
        return _resolve(unicodedata.normalize("NFC", text).strip())
    except LanguageError:
        return None


def name(code: str) -> str:
    """Return the English name of a language: "German", "Chinese (Simplified)", "Serbian (Cyrillic)".

    The script stands in brackets only where the language has several usual ones or ``code`` has
    another than the usual one. `parse` leads back for every language of NLLB-200.
    """
    import langcodes

    language, script = parse(code).split("_")
    english = NAME.get(language) or langcodes.Language.make(_tag_of_name(language)).language_name()
    if english.startswith("Unknown language"):
        english = language
    if script == usual_script(language) and language not in SEVERAL_SCRIPTS:
        return english
    return f"{english} ({langcodes.Language.make(script=script).script_name()})"


def iso639(code: str) -> str:
    """Return the shortest ISO 639 code of a language, as model cards want it: "de", "fur", "zh"."""
    language = parse(code).split("_")[0]
    return next((two for key in (language, *macros(language)) if (two := alpha2().get(key))), language)


def in_form_of(code: str, like: str) -> str:
    """Return a language in the form in which the caller wrote another one.

    Args:
        code: The language to answer with, in any form.
        like: What the caller wrote: "fr" is answered by "de", "PT-BR" by "DE", "fra" by "deu",
            "French" by "German", "fra_Latn" by "deu_Latn", "sr-Latn" by "de".

    Returns:
        A text that `parse` reads as ``code``; the internal code where that form has no such text.
    """
    code = parse(code)
    language, script = code.split("_")
    if _FULL.fullmatch(like.strip()):
        return code
    match = _TAG.fullmatch(like.strip())
    if match is None or alpha3(match["language"]) is None:
        return name(code) if find(name(code)) == code else code
    other = find(like)
    bare_three = len(match["language"]) == 3 and (other is None or match["language"].lower() != iso639(other))
    stems = [language] if bare_three else [iso639(code), language]
    forms = [*stems, *(f"{stem}-{script}" for stem in stems)]
    if match["language"].isupper():
        forms = [form.upper() for form in forms]
    return next((form for form in forms if find(form) == code), code)


def _resolve(spelled: str) -> str | None:
    """Return the code of a text as a full code, a tag or a name; None where it is neither."""
    if match := _FULL.fullmatch(spelled):
        language, script = alpha3(match[1]), match[2].capitalize()
        if language and is_script(script):
            return f"{language}_{script}"
        if language:
            raise LanguageError(
                f"The script of `{spelled}` must be of ISO 15924, but is `{script}` instead. "
                f"Did you mean {language}_{usual_script(language) or 'Latn'}?"
            )
    elif (match := _TAG.fullmatch(spelled)) and (code := _from_tag(spelled, match)):
        return code
    return _from_name(spelled)


def _from_tag(spelled: str, match: re.Match[str]) -> str | None:
    """Return the code that a BCP-47 tag means; None where it is none."""
    from langcodes.data_dicts import VALIDITY

    language = alpha3(match["extended"] or match["language"])
    script = (match["script"] or "").capitalize()
    territory = (match["territory"] or "").upper()
    if language is None or (script and not is_script(script)):
        return None
    if territory and territory not in _NO_TERRITORY and not VALIDITY.match(territory):
        return None
    if spelled.istitle() and (named := find(f"{spelled} language")) and named != _complete(spelled):
        raise _ambiguous(spelled, (named, _complete(spelled)))  # "Mon" is a language, "mon" the code of another
    if language in AMBIGUOUS_CODES and not script:
        raise _ambiguous(spelled, AMBIGUOUS_CODES[language])
    return _complete(spelled)


def _complete(tag: str) -> str:
    """Return the code of a valid tag, its member and its script filled in."""
    from langcodes.data_dicts import LIKELY_SUBTAGS

    match = _TAG.fullmatch(tag)
    assert match is not None
    macro = alpha3(match["extended"] or match["language"]) or ""
    script = (match["script"] or "").capitalize()
    territory = (match["territory"] or "").upper()
    likely = LIKELY_SUBTAGS.get(f"{alpha2().get(macro, macro)}-{territory}")
    script = script or (likely.split("-")[1] if likely else "")
    member = MEMBER_BY_TERRITORY.get((macro, territory)) or MEMBER_BY_SCRIPT.get((macro, script))
    language = member or MEMBER.get(macro, macro)
    script = script or usual_script(language)
    if not script:
        raise LanguageError(
            f"`{tag}` must say its script, but CLDR knows none that is usual instead. "
            f"Write the full code, e.g. {language}_Latn."
        )
    return f"{language}_{script}"


def _from_name(spelled: str) -> str | None:
    """Return the code of a language's name, with a script or a country in brackets; None where it is none."""
    plain = re.sub(r"\s+language$", "", spelled, flags=re.IGNORECASE)
    if candidates := AMBIGUOUS_FAMILIES.get(plain.casefold()):
        raise _ambiguous(spelled, candidates)
    tag = _lookup(plain, "en") or _lookup(plain, "und")
    if tag is None and (match := re.fullmatch(r"(.+?)\s*\(([^()]+)\)", plain)):
        tag = _lookup(match[1], "en") or _lookup(match[1], "und")
        inner = re.sub(r"\s+script$", "", match[2].strip(), flags=re.IGNORECASE)
        within = _lookup(inner, "en", "script") or _lookup(inner, "en", "territory")
        tag = f"{tag.split('-')[0]}-{within}" if tag and within else None
    if tag is None or (match := _TAG.fullmatch(tag)) is None or (language := alpha3(match["language"])) is None:
        return None
    if language in AMBIGUOUS_NAMES and "-" not in tag:
        raise _ambiguous(spelled, AMBIGUOUS_NAMES[language])
    return _complete(tag)


def _lookup(text: str, language: str, category: str = "language") -> str | None:
    """Return the tag of an exact name; unlike `name_to_code`, which accepts any name that begins alike."""
    from language_data.names import normalize_name

    found = _names(language, category).get(normalize_name(text))
    return found[0].decode() if found else None


@lru_cache(maxsize=8)
def _names(language: str, category: str) -> Any:
    """Return the trie of all names of a category in one language ("und": in all)."""
    from language_data.names import load_trie
    from language_data.util import data_filename

    return load_trie(data_filename(f"trie/{language}/name_to_{category}.marisa"))


def _tag_of_name(language: str) -> str:
    """Return the tag whose name in CLDR a language carries: the macrolanguage's, unless that is ambiguous."""
    keys = [key for key in (*macros(language), language) if key not in AMBIGUOUS_NAMES or key == language]
    return next((two for key in keys if (two := alpha2().get(key))), language)


def _ambiguous(text: str, candidates: Sequence[str]) -> LanguageError:
    listed = " or ".join(f"{code} ({name(code)})" for code in candidates)
    return LanguageError(f"`{text}` must name one language, but may mean {listed} instead. Write one of these codes.")


def _unknown(text: str) -> LanguageError:
    """Return the error for an unknown language, with the nearest spellings."""
    common = {two: three for three, two in alpha2().items()}
    codes = {**{two: two for two in common}, **{_complete(two): two for two in common if usual_script(common[two])}}
    spellings = {key: key for key in _names("en", "language")} | {key.casefold(): key for key in codes}
    text = text if len(text) <= 60 else f"{text[:60]}…"
    near = difflib.get_close_matches(text.casefold(), spellings, n=6, cutoff=0.75)
    shown = list(dict.fromkeys(f"{name(code)} ({code})" for spelling in near if (code := find(spellings[spelling]))))
    remedy = (
        f"Did you mean {', '.join(shown[:3])}?" if shown else "Write a code or a name, e.g. deu_Latn, de or German."
    )
    return LanguageError(f"`{text}` must be a language, but is unknown instead. {remedy}")
