"""The memory of training sentences: counts those seen before, whatever their case and spaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingraft.corpus import seen
from lingraft.corpus.seen import WIDTH, count_seen, is_memory, remember

LINES = st.lists(st.text(max_size=12), max_size=12)


@given(LINES, LINES)
def test_exactly_the_remembered_sentences_are_counted(known, others):
    memory = remember(known)
    assert is_memory(memory)
    plain = lambda line: " ".join(line.lower().split())
    expected = {plain(line) for line in known}
    assert count_seen(memory, known) == len(known)
    assert count_seen(memory, others) == sum(plain(line) in expected for line in others)
    assert memory == remember(sorted(known, reverse=True)) == remember(known * 2)


def test_case_and_spaces_do_not_matter_but_words_do():
    memory = remember(["The dog  sees\tme."])
    assert count_seen(memory, ["the DOG sees me.", " The dog sees me. ", "The dog sees him."]) == 2
    assert count_seen("", ["the dog"]) == count_seen(memory, []) == 0


def test_of_too_many_sentences_some_are_kept_the_same_ones_in_any_order(monkeypatch):
    monkeypatch.setattr(seen, "MOST", 10)
    lines = [f"sentence {i}" for i in range(50)]
    memory = remember(lines)
    assert len(memory) == 10 * WIDTH
    assert memory == remember(lines[::-1])
    assert count_seen(memory, lines) == 10


@pytest.mark.parametrize("value", [None, 3, "0" * (WIDTH - 1), "g" * WIDTH, "A" * WIDTH, "0" * WIDTH + "\n" * WIDTH])
def test_other_values_are_no_memory(value):
    assert not is_memory(value)


def test_a_memory_has_a_limit():
    assert is_memory("")
    assert is_memory("0" * WIDTH * seen.MOST)
    assert not is_memory("0" * WIDTH * (seen.MOST + 1))
