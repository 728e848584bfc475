"""What is known of codes: ISO 639 and CLDR through `langcodes`, and the few facts that NLLB adds.

Keys and members are ISO 639-3 codes; a value with a script is a whole internal code.
"""

from __future__ import annotations

from functools import lru_cache

MEMBER = {
    "ara": "arb",
    "aym": "ayr",
    "aze": "azj",
    "cmn": "zho",
    "din": "dik",
    "ekk": "est",
    "fas": "pes",
    "fil": "tgl",
    "ful": "fuv",
    "gug": "grn",
    "kau": "knc",
    "kur": "kmr",
    "lav": "lvs",
    "mlg": "plt",
    "mon": "khk",
    "msa": "zsm",
    "nep": "npi",
    "nor": "nob",
    "ori": "ory",
    "orm": "gaz",
    "pus": "pbt",
    "que": "quy",
    "sqi": "als",
    "swa": "swh",
    "tmh": "taq",
    "uzb": "uzn",
    "yid": "ydd",
}
"""The language that a bare macrolanguage code means, and the code that NLLB gives to a language of two."""

MEMBER_BY_SCRIPT = {
    ("aze", "Arab"): "azb",
    ("kur", "Arab"): "ckb",
    ("mon", "Mong"): "mvf",
    ("pan", "Arab"): "pnb",
    ("uzb", "Arab"): "uzs",
}
"""Macrolanguages whose script decides on the member."""

MEMBER_BY_TERRITORY = {("fas", "AF"): "prs", ("kur", "IQ"): "ckb", ("kur", "IR"): "ckb"}
"""Macrolanguages whose country decides on the member."""

SCRIPT = {
    "azb": "Arab",
    "cjk": "Latn",
    "crh": "Latn",
    "dik": "Latn",
    "grc": "Grek",
    "kor": "Hang",
    "lus": "Latn",
    "mic": "Latn",
    "prs": "Arab",
    "tzm": "Tfng",
}
"""The usual script where CLDR has none or NLLB chose another."""

OLD = {"in": "ind", "iw": "heb", "ji": "yid", "jw": "jav", "mo": "ron", "ns": "nso", "sh": "hbs"}
"""Two-letter codes that were withdrawn (ISO 639-1) or are M2M-100's own (ns)."""

NAME = {"ben": "Bengali", "fuv": "Nigerian Fulfulde", "ilo": "Ilocano", "luo": "Luo", "tgl": "Tagalog"}
"""English names where CLDR's is not the usual one in translation, or not that of the member."""

AMBIGUOUS_CODES = {"hbs": ("bos_Latn", "hrv_Latn", "srp_Cyrl", "srp_Latn")}
"""Codes with several equally usual answers."""

AMBIGUOUS_NAMES = AMBIGUOUS_CODES | {
    "cmn": ("zho_Hans", "zho_Hant"),
    "kur": ("kmr_Latn", "ckb_Arab"),
    "nor": ("nob_Latn", "nno_Latn"),
    "zho": ("zho_Hans", "zho_Hant"),
}
"""Languages whose *name* has several equally usual answers, though their code has a customary one."""

AMBIGUOUS_FAMILIES = {
    "berber": ("kab_Latn", "taq_Latn", "tzm_Tfng", "zgh_Tfng"),
    "sami": ("sme_Latn", "smj_Latn", "sma_Latn", "smn_Latn", "sms_Latn"),
    "sorbian": ("hsb_Latn", "dsb_Latn"),
}
"""Everyday names of a group of languages."""

SEVERAL_SCRIPTS = frozenset({"ace", "bjn", "kas", "knc", "min", "srp", "taq", "zho"})
"""Languages usually written in more than one script, so that a name alone does not say which."""

NO_LANGUAGE = {"mis", "mul", "und", "zxx"}
"""Codes of ISO 639 that mean no one language."""


@lru_cache(maxsize=1)
def alpha2() -> dict[str, str]:
    """Return ISO 639-3 → ISO 639-1, without the withdrawn codes."""
    from langcodes.data_dicts import LANGUAGE_ALPHA3

    return {three: two for two, three in LANGUAGE_ALPHA3.items() if len(two) == 2 and two not in OLD}


@lru_cache(maxsize=4096)
def alpha3(subtag: str) -> str | None:
    """Return the ISO 639-3 code of a language subtag of two or three letters; None where there is none."""
    from langcodes.data_dicts import LANGUAGE_ALPHA3, LANGUAGE_ALPHA3_BIBLIOGRAPHIC, VALIDITY

    subtag = subtag.lower()
    bibliographic = {old: two for two, old in LANGUAGE_ALPHA3_BIBLIOGRAPHIC.items()}
    subtag = bibliographic.get(subtag, subtag)
    if len(subtag) == 2:
        return OLD.get(subtag) or LANGUAGE_ALPHA3.get(subtag)
    real = subtag in alpha2() or (bool(VALIDITY.match(subtag)) and subtag not in NO_LANGUAGE)
    return subtag if real else None


def is_script(script: str) -> bool:
    """Say whether a text is a code of ISO 15924."""
    from langcodes.data_dicts import ALL_SCRIPTS

    return script in ALL_SCRIPTS


def usual_script(language: str) -> str:
    """Return the usual script of an ISO 639-3 language, "" where none is known."""
    from langcodes.data_dicts import LIKELY_SUBTAGS, MACROLANGUAGES

    two = alpha2().get(language, language)
    likely = LIKELY_SUBTAGS.get(two) or LIKELY_SUBTAGS.get(MACROLANGUAGES.get(two, ""), "")
    return SCRIPT.get(language) or (likely.split("-")[1] if likely else "")


def macros(language: str) -> list[str]:
    """Return the macrolanguages whose usual member a language is."""
    return [macro for macro, member in MEMBER.items() if member == language]
