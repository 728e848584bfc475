"""Splitting loses nothing: joined again untranslated, any text is what it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingraft.direction.sentences import LONGEST, Pieces, join, split

LANGUAGES = st.sampled_from(["deu_Latn", "eng_Latn", "epo_Latn", "hin_Deva", "jpn_Jpan", "rus_Cyrl", "fur_Latn"])
WORDS = [
    "Dr. Müller",
    "et al.",
    "e.g.",
    "1. ",
    "No!",
    "«Да?»",
    "3.14",
    "...",
    "です。",
    "！",
    "؟",
    "।",
    "(",
    '"',
    "👋🏽.",
]
SPACES = ["\n", "\r\n", "\r", "\n\n", "\t", "  ", "\u2028", "\u0085", "\x0b", "\x1c", "\u00a0", "\u200b", "\u0301"]
PIECES = st.sampled_from([*WORDS, *SPACES, "x" * 500])
TEXTS = st.text(max_size=60) | st.lists(PIECES, max_size=25).map("".join) | st.lists(PIECES, max_size=25).map(" ".join)


def whole(pieces: Pieces) -> str:
    return "".join(part for part, _ in pieces.parts)


@given(TEXTS, LANGUAGES, LANGUAGES)
def test_untranslated_pieces_join_to_the_text_but_for_spaces_between_sentences(text, language, target):
    pieces = split(text, language)
    assert whole(pieces) == text
    assert join(pieces, dict(pieces.sentences()), target).replace(" ", "") == text.replace(" ", "")
    for _, sentence in pieces.sentences():
        assert 0 < len(sentence) <= LONGEST
        assert sentence == sentence.strip()
        assert "\n" not in sentence
        assert "\r" not in sentence


@given(st.text(alphabet="ab .\n", min_size=LONGEST, max_size=5 * LONGEST))
def test_nothing_longer_than_the_bound_is_passed_on_whole(text):
    pieces = split(text, "eng_Latn")
    assert all(len(sentence) <= LONGEST for _, sentence in pieces.sentences())
    assert whole(pieces) == text


def test_long_sentences_are_cut_at_spaces_and_words_without_end_anywhere():
    words = "word " * 200
    found = [sentence for _, sentence in split(words, "eng_Latn").sentences()]
    assert len(found) == 3
    assert {word for sentence in found for word in sentence.split()} == {"word"}
    assert [len(sentence) for _, sentence in split("x" * 1000, "eng_Latn").sentences()] == [400, 400, 200]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("eng_Latn", "Dr. Smith left."),
        ("deu_Latn", "Am 30. September kam Elisabeth II. nach Berlin."),
        ("fra_Latn", "M. Merriweather et le Dr. Dupont sont là."),
        ("rus_Cyrl", "В 1998 г. Москва росла, в т.ч. быстро."),
        ("spa_Latn", "El Sr. García vive en EE. UU. desde mayo."),
        ("nld_Latn", "Dhr. Sutopo was er."),
        ("fur_Latn", "O soi chi."),
    ],
)
def test_abbreviations_end_no_sentence(language, text):
    assert dict(split(text, language).sentences()) == {0: text}


@pytest.mark.parametrize("language", ["eng_Latn", "deu_Latn", "fra_Latn", "rus_Cyrl", "jpn_Jpan", "fur_Latn"])
def test_sentences_are_parted(language):
    text = "Il pleut。 Ça va?" if language == "jpn_Jpan" else "Ça va? Il pleut. Non!"
    assert len(dict(split(text, language).sentences())) == (2 if language == "jpn_Jpan" else 3)


@pytest.mark.parametrize("text", ["", " ", "\n", "\n\n \r\n\t"])
def test_blank_text_has_nothing_to_translate(text):
    pieces = split(text, "eng_Latn")
    assert list(pieces.sentences()) == []
    assert join(pieces, {}, "eng_Latn") == text


def test_what_stands_between_sentences_stays():
    text = " Dr. Smith sleeps.  He snores!\n\n\tThe end?\r\nYes. \n"
    pieces = split(text, "eng_Latn")
    assert [sentence for _, sentence in pieces.sentences()] == ["Dr. Smith sleeps.", "He snores!", "The end?", "Yes."]
    assert join(pieces, {i: "T" for i, _ in pieces.sentences()}, "eng_Latn") == " T  T\n\n\tT\r\nT \n"


@pytest.mark.parametrize(
    ("source", "text", "target", "joined"),
    [
        ("zho_Hans", "你好。今天天气很好。\n再见！", "eng_Latn", "T T\nT"),
        ("zho_Hans", "你好。今天天气很好。", "jpn_Jpan", "TT"),
        ("eng_Latn", " Hello!  How are you?\nBye! ", "zho_Hant", " TT\nT "),
        ("eng_Latn", "Hello!\tBye!", "zho_Hant", "T\tT"),
        ("zho_Hans", "好" * 500, "eng_Latn", "T T"),
        ("eng_Latn", "x" * 500, "deu_Latn", "TT"),
    ],
)
def test_sentences_stand_apart_as_the_target_has_it(source, text, target, joined):
    pieces = split(text, source)
    assert join(pieces, {i: "T" for i, _ in pieces.sentences()}, target) == joined


@given(TEXTS, st.integers(1, 60))
def test_what_does_not_fit_is_cut_until_it_does(text, most):
    fits = lambda sentence: len(sentence.encode()) <= most
    pieces = split(text, "deu_Latn", fits)
    assert whole(pieces) == text
    assert all(fits(sentence) or len(sentence) == 1 for _, sentence in pieces.sentences())


def test_what_does_not_fit_is_cut_between_words():
    found = [
        sentence for _, sentence in split("one two three four", "eng_Latn", lambda text: len(text) <= 9).sentences()
    ]
    assert found == ["one two", "three", "four"]
