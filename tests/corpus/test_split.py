"""What is held out for dev stands in no training text, and what does all the same is told."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingraft.atoms import DataError
from lingraft.corpus import Pairs, overlap, remarks, split_dev, split_together


def rows(pairs):
    return list(zip(pairs.left, pairs.right, strict=True))


def made(left, right):
    return Pairs("deu_Latn", "eng_Latn", tuple(left), tuple(right), "made")


def line_parallel(*languages: str, numbers=range(60)) -> list[Pairs]:
    """The same sentences in each pair of languages."""
    return [
        Pairs(a, b, tuple(f"{a} {i}" for i in numbers), tuple(f"{b} {i}" for i in numbers), f"{a}-{b}")
        for a, b in combinations(languages, 2)
    ]


def seen(train, dev) -> list[tuple[str, str]]:
    """Held-out sentences that stand in training text, with their language."""
    known = {(code, line) for pairs in train for code in (pairs.a, pairs.b) for line in pairs.of(code)}
    return [
        (code, line) for pairs in dev for code in (pairs.a, pairs.b) for line in pairs.of(code) if (code, line) in known
    ]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=20, max_size=60, unique=True), st.integers()
)
def test_a_split_shares_no_sentence_and_depends_on_sentences_and_seed_alone(numbers, seed):
    pairs = made([f"d{a}" for a, _ in numbers], [f"e{b}" for _, b in numbers])
    try:
        train, dev = split_dev(pairs, 0.1, 5, seed)
    except DataError:
        return
    assert len(dev) == min(5, round(0.1 * len(pairs)))
    assert not set(train.left) & set(dev.left)
    assert not set(train.right) & set(dev.right)
    assert set(rows(train)) | set(rows(dev)) <= set(rows(pairs))
    assert (train, dev) == split_dev(pairs, 0.1, 5, seed)
    turned = split_dev(pairs.pick(reversed(range(len(pairs)))), 0.1, 5, seed)
    assert [sorted(rows(part)) for part in turned] == [sorted(rows(part)) for part in (train, dev)]


def test_another_seed_holds_out_others_and_few_rows_are_refused():
    pairs = made([f"d{i}" for i in range(200)], [f"e{i}" for i in range(200)])
    assert split_dev(pairs, 0.1, 50, 1)[1] != split_dev(pairs, 0.1, 50, 2)[1]
    with pytest.raises(DataError, match=r"at least 20 rows .* has 10\. Give dev text"):
        split_dev(pairs.pick(range(10)), 0.1, 50, 1)
    with pytest.raises(DataError, match="all recur"):
        split_dev(made(["always"] * 30, [f"e{i}" for i in range(30)]), 0.05, 400, 1)


def test_overlap_counts_shared_rows():
    pairs = made(["a", "b", "c"], ["A", "B", "C"])
    assert overlap([pairs], made(["b", "C", "d", "e"], ["B", "x", "D", "a"])) == 3  # on either side, case aside
    assert overlap([pairs], pairs) == len(pairs)


def test_of_text_that_is_parallel_line_by_line_the_same_lines_are_held_out():
    corpus = line_parallel("deu_Latn", "eng_Latn", "fra_Latn")
    train, dev = split_together(corpus, 0.05, 400, 1)
    assert seen(train, dev) == []
    assert [len(pairs) for pairs in dev] == [3] * 3
    assert [len(pairs) for pairs in train] == [57] * 3
    alone = [split_dev(pairs, 0.05, 400, 1) for pairs in corpus]
    assert seen([each for each, _ in alone], [each for _, each in alone])  # what it would be else


def test_a_small_text_within_a_large_one_keeps_most_of_its_rows():
    small, *_ = line_parallel("deu_Latn", "eng_Latn", numbers=range(20))
    *_, large = line_parallel("deu_Latn", "epo_Latn", "fra_Latn", numbers=range(400))
    (_, one, _) = line_parallel("deu_Latn", "eng_Latn", "fra_Latn", numbers=range(400))
    train, dev = split_together([small, one, large], 0.05, 400, 1)
    assert seen(train, dev) == []
    assert len(train[0]) >= 15


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=20, max_size=50, unique=True),
        min_size=3,
        max_size=3,
    ),
    st.integers(0, 5),
)
def test_no_held_out_sentence_stands_in_any_training_text_of_its_language(numbers, seed):
    corpus = [
        Pairs(a, b, tuple(f"{a} {i}" for i, _ in each), tuple(f"{b} {j}" for _, j in each), f"{a}-{b}")
        for (a, b), each in zip(combinations(("deu_Latn", "eng_Latn", "fra_Latn"), 2), numbers, strict=True)
    ]
    try:
        train, dev = split_together(corpus, 0.05, 400, seed)
    except DataError:
        return
    assert seen(train, dev) == []
    assert all(len(held) == round(0.05 * len(pairs)) for pairs, held in zip(corpus, dev, strict=True))
    assert split_together(corpus[::-1], 0.05, 400, seed) == (train[::-1], dev[::-1])


def test_texts_that_share_no_sentence_are_split_as_each_alone():
    corpus = [
        made([f"{name} d {i}" for i in range(n)], [f"{name} e {i}" for i in range(n)])
        for name, n in (("a", 40), ("b", 90))
    ]
    assert list(zip(*split_together(corpus, 0.05, 400, 1), strict=True)) == [
        split_dev(pairs, 0.05, 400, 1) for pairs in corpus
    ]


def test_where_nothing_is_left_dev_text_is_asked_for():
    common = Pairs("deu_Latn", "eng_Latn", ("immer",) * 30, tuple(f"e{i}" for i in range(30)), "common")
    other = Pairs("deu_Latn", "fra_Latn", ("immer",) * 40, tuple(f"f{i}" for i in range(40)), "other")
    with pytest.raises(DataError, match=r"common must have rows left .* Give dev text"):
        split_together([common, other], 0.05, 400, 1)


def test_remarks_on_text_that_is_trained_together_are_about_all_of_a_language():
    german, french, both = line_parallel("deu_Latn", "eng_Latn", "fra_Latn", numbers=range(30))
    dev = Pairs("deu_Latn", "eng_Latn", ("deu_Latn 3", "neu"), ("new", "neat"), "dev")
    assert remarks([french, both], [dev]) == []  # each language by itself: this text judges another
    assert remarks([french, both], [dev], together=True) == [
        "warning: the training text and its dev text dev share 1 sentences"
    ]
    assert remarks([german, french], [dev]) == ["warning: deu_Latn-eng_Latn and its dev text dev share 1 sentences"]
