from __future__ import annotations

import copy

import pytest

import tiny
from lingraft.atoms import ConfigError, Role
from lingraft.corpus import Pairs
from lingraft.fit.bridge import bridge
from lingraft.fit.modular import encode

ENGLISH = tuple(f"dog {i}" for i in range(12))


def test_a_share_of_the_rows_is_put_into_known_languages_the_same_each_time():
    base = copy.copy(tiny.load("llama"))
    base.languages = ("eng_Latn", "spa_Latn", "ita_Latn", "deu_Latn")
    swapped = bridge(base, ENGLISH, "deu_Latn", 0.5, seed=3)
    assert len(swapped) <= 6
    assert {code for code, _ in swapped.values()} <= {"spa_Latn", "ita_Latn"}
    assert bridge(base, ENGLISH, "deu_Latn", 0.5, seed=3) == swapped
    assert bridge(base, ENGLISH, "deu_Latn", 0.0, seed=3) == {}


def test_a_base_that_knows_no_other_language_has_no_bridges():
    base = copy.copy(tiny.load("llama"))
    base.languages = ("eng_Latn", "deu_Latn")
    with pytest.raises(ConfigError, match=r"fit\.bridge"):
        bridge(base, ENGLISH, "deu_Latn", 0.5, seed=1)


def test_a_bridged_row_names_its_own_language_on_the_english_side():
    base = tiny.load("llama")
    pairs = Pairs("deu_Latn", "eng_Latn", ("hund", "haus"), ("dog", "house"), "x")
    for role in Role:
        plain, mixed = encode(base, pairs, role), encode(base, pairs, role, {1: ("spa_Latn", "casa")})
        assert mixed[0] == plain[0]
        assert mixed[1] != plain[1]
        text = base.tokenizer.decode(mixed[1].source + mixed[1].target + mixed[1].answer)
        assert "Spanish" in text
        assert "casa" in text
        assert "haus" in text
