from __future__ import annotations

import fake
import pytest

from lingraft.corpus.profile import Profile
from lingraft.serve.detect import Detector

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
