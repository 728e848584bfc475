"""Text that is hardly what it is said to be is told of, and nothing else."""

from __future__ import annotations

import pytest

from lingraft.corpus import Pairs, phrasebook, suspicions

ENGLISH = (
    "The little dog sees the red house.",
    "She drinks cold water every morning.",
    "Where is my brother?",
    "10:30",
)
IDO = ("La mikra hundo vidas la reda domo.", "El drinkas kolda aquo omnamatine.", "Ube esas mea fratulo?", "10:30")
HEBREW = ("הכלב הקטן רואה את הבית", "היא שותה מים קרים", "איפה אחי", "10:30")


def found(a: str, b: str, left: tuple[str, ...], right: tuple[str, ...]) -> list[str]:
    return suspicions([Pairs(a, b, left, right, "the file")])


@pytest.mark.parametrize(
    ("a", "b", "left", "right", "words"),
    [
        ("eng_Latn", "ido_Latn", IDO, ENGLISH, "only 0 % of the English lines look like English"),
        ("eng_Latn", "ido_Latn", ENGLISH, HEBREW, "only 0 % of the Ido letters are of the script Latn"),
        ("eng_Latn", "heb_Hebr", ENGLISH, IDO, "only 0 % of the Hebrew letters are of the script Hebr"),
    ],
)
def test_the_wrong_columns_and_the_wrong_file(a, b, left, right, words):
    (warning,) = found(a, b, left, right)
    assert words in warning
    assert warning.startswith("warning: the file: ")


@pytest.mark.parametrize(
    ("b", "right"), [("ido_Latn", IDO), ("heb_Hebr", HEBREW), ("jpn_Jpan", HEBREW), ("ido_Latn", ("1", "2", "3", ""))]
)
def test_what_is_right_or_cannot_be_told_is_not_doubted(b, right):
    assert found("eng_Latn", b, ENGLISH, right) == []


def test_a_phrasebook_is_not_doubted():
    lines = phrasebook.generate(train=300, dev=1, test=1).train.lines
    texts = [
        Pairs(*sorted(("eng_Latn", code)), *(lines[each] for each in sorted(("eng_Latn", code))), code)
        for code in lines
        if code != "eng_Latn"
    ]
    assert suspicions(texts) == []
