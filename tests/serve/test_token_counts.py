"""Tokens are counted as the base itself reads a text, and a text is cut between them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import tiny
from lingraft.base.format import token_ids
from lingraft.serve.tokens import count, cut

TEXT = "The small dog sees\nthe  red house, and drinks cold water."


@pytest.fixture(scope="module", params=["llama", "m2m_100", "m2m_100_short"])
def tokenizer(request):
    return tiny.load(request.param).tokenizer


def test_tokens_are_those_of_the_base(tokenizer):
    assert count(tokenizer, TEXT) == len(token_ids(tokenizer, [TEXT])[0])
    assert count(tokenizer, "") == 0


def test_what_is_cut_is_the_beginning_and_not_longer_than_it_may_be(tokenizer):
    whole = count(tokenizer, TEXT)
    parts = [cut(tokenizer, TEXT, most) for most in range(1, whole + 2)]
    for most, part in enumerate(parts, 1):
        assert TEXT.startswith(part)
        assert count(tokenizer, part) <= most
    assert parts[-2:] == [TEXT] * 2
    assert [len(part) for part in parts] == sorted(len(part) for part in parts)
    assert len(parts[whole // 2]) > len(TEXT) // 4


def test_a_tokenizer_that_is_not_fast():
    slow = SimpleNamespace(tokenize=str.split)
    assert count(slow, TEXT) == 11
    assert cut(slow, TEXT, 4).split() == ["The", "small", "dog", "sees"]
    assert cut(slow, TEXT, 11) == TEXT
