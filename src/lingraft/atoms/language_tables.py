"""What NLLB's codes add to ISO 639 and CLDR: the few facts that `langcodes` cannot know.

Keys and members are ISO 639-3 codes; a value with a script is a whole internal code.
"""

from __future__ import annotations

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
