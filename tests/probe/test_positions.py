"""Words that translate each other, where they begin, and whose a token is."""

from __future__ import annotations

import random

import glass
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from lingraft.atoms import DataError
from lingraft.corpus import TestSet
from lingraft.probe.align import align
from lingraft.probe.positions import Vocabulary, places

FAMILIES = ["llama", "m2m_100", "m2m_100_short"]


def test_the_aligner_learns_a_lexicon_whatever_the_order():
    draw = random.Random(0)
    words = [f"w{n}" for n in range(12)]
    a, b, truth = [], [], []
    for _ in range(150):
        left = draw.sample(words, draw.randint(2, 6))
        order = draw.sample(range(len(left)), len(left))
        a.append(left)
        b.append([left[i].replace("w", "x") for i in order])
        truth.append({i: j for j, i in enumerate(order)})
    found = align(a, b)
    right = sum(truth[n].get(i) == j for n, link in enumerate(found) for i, j in link.items())
    assert right == sum(map(len, found))
    assert right > 0.95 * sum(map(len, truth))


@given(st.lists(st.tuples(st.lists(st.sampled_from(["", *"abc"])), st.lists(st.sampled_from(["", *"xyz"])))))
def test_links_are_one_to_one_and_the_same_both_ways(lines):
    a, b = [left for left, _ in lines], [right for _, right in lines]
    found = align(a, b)
    assert found == [{i: j for j, i in link.items()} for link in align(b, a)]
    for left, right, link in zip(a, b, found, strict=True):
        assert len(set(link.values())) == len(link)
        assert all(left[i] and right[j] for i, j in link.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_are_beginnings_of_words_that_translate_each_other(family):
    base, made = tiny.load(family), glass.parallel()
    found = places(base, made, glass.WHERE, 20)
    assert found.languages == ("fra_Latn", "eng_Latn", "deu_Latn")
    assert (len(found.rows), found.skipped) == (20, 0)
    lexicon = {fra: (fra, eng, deu) for eng, deu, fra in glass.WORDS}
    seen = set()
    for row, place, tokens in found.positions:
        answer = found.rows[row].answer
        assert tokens[0] == answer[place]
        assert len(set(tokens)) == 3
        before = base.format.decode(answer[:place]).split()
        word = made.lines["fra_Latn"][row].split()[len(before)]
        assert before == made.lines["fra_Latn"][row].split()[: len(before)]
        for token, whole in zip(tokens, lexicon[word], strict=True):
            piece = base.format.decode([token])
            assert piece
            assert whole.startswith(piece)
        seen.add(word)
    assert len(seen) >= 3


def test_a_word_counts_only_beside_words_that_stand_alike_and_hold_their_space():
    base = tiny.load("llama")
    made = {code: list(lines) for code, lines in glass.lines(12).items()}
    swapped = {code: " ".join(w[i] for w in glass.WORDS[:2]) for i, code in enumerate(glass.CODES)}
    swapped["eng_Latn"] = " ".join(reversed(swapped["eng_Latn"].split()))
    for code, line in swapped.items():
        made[code] = [line, *made[code], line + " " + {"eng_Latn": "q", "deu_Latn": "x", "fra_Latn": "k"}[code]]
    found = places(base, TestSet({code: tuple(lines) for code, lines in made.items()}, "made"), glass.WHERE)
    rows = [position.row for position in found.positions]
    assert 0 not in rows  # both of its words begin one of the sentences and not the other
    last = [base.format.decode([position.tokens[0]]) for position in found.positions if position.row == 13]
    assert "k" not in last  # " " + "k" are two tokens


def test_long_sentences_are_left_out_and_rows_stay_together():
    base = tiny.load("m2m_100")
    long = {code: " ".join([glass.WORDS[0][i]] * 200) for i, code in enumerate(glass.CODES)}
    lines = {code: (text[0], long[code], *text[1:]) for code, text in glass.lines(12).items()}
    found = places(base, TestSet(lines, "made"), glass.WHERE)
    assert (len(found.rows), found.skipped) == (12, 1)
    for row, place, tokens in found.positions:
        assert found.rows[row].answer[place] == tokens[0]
    only = TestSet({code: (line,) for code, line in long.items()}, "made")
    with pytest.raises(DataError, match="holds none"):
        places(base, only, glass.WHERE)


def test_whose_a_token_is():
    base = tiny.load("llama")
    lines = {"eng_Latn": ("dog dog", "dog 1"), "deu_Latn": ("Hund dog", "Hund 1"), "fra_Latn": ("le le", "le 1")}
    vocabulary = Vocabulary(base, TestSet(lines, "made"), glass.WHERE)
    dog = base.format.encode(glass.WHERE, [""], ["dog"])[0].answer
    one = base.format.encode(glass.WHERE, [""], ["1"])[0].answer
    shares = vocabulary.shares(dog[:1])
    assert shares["eng_Latn"] == pytest.approx(3 / 4)
    assert shares["deu_Latn"] == pytest.approx(1 / 4)
    mixed = vocabulary.shares([*dog[:1], one[-2], base.format.end, _unseen(base, lines)])
    assert mixed["eng_Latn"] == pytest.approx(3 / 16)
    assert mixed["zxx"] == pytest.approx(1 / 2)
    assert mixed["und"] == pytest.approx(1 / 4)
    assert sum(mixed.values()) == pytest.approx(1)


def _unseen(base, lines) -> int:
    used = {t for text in lines.values() for row in base.format.encode(glass.WHERE, ["", ""], text) for t in row.answer}
    return next(t for t in range(len(base.tokenizer)) if t not in used and base.format.decode([t]).isalpha())
