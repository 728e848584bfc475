from __future__ import annotations

import fake
import pytest

from lingraft.corpus.profile import Profile
from lingraft.serve.detect import Detector
from lingraft.serve.scripts import telling, writing

LINES = ["Zviadu zum zam borat.", "Borat mi zviadu zam.", "Zum borat zviadin."]


class Shelf:
    """A library that has the profiles of what was installed."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def profiles(self, languages):
        self.reads += languages
        return {code: Profile.train(code, LINES) for code in languages}


def test_names_a_language_with_a_confidence():
    sure, blank = fake.DETECTOR.identify(["Wo ist denn hier bitte das nächste Wasser?", "10:30"], {}, fake.OFFERED)
    assert (sure.language, blank.language, blank.confidence) == ("deu_Latn", None, 0.0)
    assert sure.confidence > 95


def test_a_short_word_is_named_with_less_confidence():
    (found,) = fake.DETECTOR.identify(["an"], {}, fake.OFFERED)
    assert 50 <= found.confidence < 80


def test_a_language_that_has_just_been_added_is_known_and_one_that_was_removed_is_not():
    shelf = Shelf()
    detector = Detector(shelf)  # type: ignore[arg-type]
    text, offered = LINES[0], (*fake.OFFERED, "zzz_Latn")
    assert detector.identify([text], {}, fake.OFFERED)[0].language != "zzz_Latn"
    installed = {"zzz_Latn": fake.pointer("zzz_Latn")}
    for _ in range(3):
        assert detector.identify([text], installed, offered)[0].language == "zzz_Latn"
    assert shelf.reads == ["zzz_Latn"], "read once for each version"
    detector.identify([text], {"zzz_Latn": fake.pointer("zzz_Latn", 2)}, offered)
    assert shelf.reads == ["zzz_Latn"] * 2
    assert detector.identify([text], {}, fake.OFFERED)[0].language != "zzz_Latn"


@pytest.mark.parametrize(("text", "language"), [("Los niños comen manzanas en la cocina todos los días.", "spa_Latn"),
                                                ("comida", None)])  # fmt: skip
def test_a_language_that_is_not_on_offer_is_named_only_where_it_is_clear(text, language):
    (found,) = fake.DETECTOR.identify([text], {}, ("deu_Latn", "eng_Latn", "por_Latn"))
    assert found.language == language or (language is None and found.language in ("deu_Latn", "eng_Latn", "por_Latn"))


LATIN = ("deu_Latn", "eng_Latn", "epo_Latn", "fra_Latn")
MORE = (*LATIN, "ell_Grek", "heb_Hebr", "jpn_Jpan", "ydd_Hebr", "zho_Hans", "zho_Hant")


@pytest.mark.parametrize(
    ("text", "offered", "language", "trouble"),
    [
        ("שלום", LATIN, None, "foreign"),
        ("これは長い文です", LATIN, None, "foreign"),
        ("水", LATIN, None, "foreign"),
        ("Γειά σου Κόσμε", LATIN, None, "foreign"),
        ("OK, 東京都港区", LATIN, None, "foreign"),
        ("שלום", MORE, None, "shared"),
        ("東京", MORE, None, "shared"),
        ("東京です", MORE, "jpn_Jpan", None),
        ("Γειά σου Κόσμε", MORE, "ell_Grek", None),
        ("ŋŋʃ", MORE, None, "shared"),
        ("10 Ω", LATIN, None, None),
        ("π ≈ 3.14 🙂", LATIN, None, None),
        ("", LATIN, None, None),
    ],
)
def test_letters_that_no_profile_knows_tell_a_language_by_their_script_or_none(text, offered, language, trouble):
    (found,) = fake.DETECTOR.identify([text], {}, offered)
    assert (found.language, found.trouble) == (language, trouble)
    assert found.confidence == (50 if language else 0)


def test_a_language_that_has_a_profile_and_is_unclear_is_of_those_on_offer_only_where_its_script_is():
    lines = {"abc_Cyrl": "да нет", "abd_Cyrl": "да нет а", "deu_Latn": "deu", "fra_Latn": "fra"}
    detector = Detector(profiles={code: Profile.train(code, [line]) for code, line in lines.items()})
    (found,) = detector.identify(["да"], {}, ("deu_Latn", "fra_Latn"))
    assert (found.language, found.trouble) == (None, "foreign")
    assert detector.identify(["deu"], {}, ("deu_Latn", "fra_Latn"))[0].language == "deu_Latn"


@pytest.mark.parametrize("code", ["kor_Hang", "kor_Kore", "ory_Orya", "pan_Guru", "sat_Olck", "tzm_Tfng", "chr_Cher"])
def test_scripts_are_told_by_the_names_of_their_letters(code):
    letters = {"Hang": "한국", "Kore": "한국", "Orya": "ଓଡ଼ିଆ", "Guru": "ਪੰਜਾਬੀ", "Olck": "ᱚᱞ", "Tfng": "ⵜⴰ", "Cher": "ᏣᎳ"}
    assert writing(telling(letters[code[-4:]]), [*LATIN, code]) == [code]
    assert writing(telling("wo"), [*LATIN, code]) == list(LATIN)
    assert writing(telling("10"), [*LATIN, code]) == []
