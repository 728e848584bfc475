from __future__ import annotations

import copy

import pytest

import tiny
from lingraft.atoms import ConfigError, Role
from lingraft.corpus import Pairs
from lingraft.fit import Modular, Silent, fit
from lingraft.fit import bridge as module
from lingraft.fit.bridge import Bridge
from lingraft.fit.learner import Learner
from lingraft.fit.modular import encode

ENGLISH = tuple(f"dog {i}" for i in range(12))


def test_a_share_of_the_rows_is_put_into_known_languages_the_same_each_time():
    base = copy.copy(tiny.load("llama"))
    base.languages = ("eng_Latn", "spa_Latn", "ita_Latn", "deu_Latn")
    swapped = Bridge(base, ENGLISH, "deu_Latn", 0.5, 3).swapped()
    assert len(swapped) <= 6
    assert {code for code, _ in swapped.values()} <= {"spa_Latn", "ita_Latn"}
    assert Bridge(base, ENGLISH, "deu_Latn", 0.5, 3).swapped() == swapped
    assert Bridge(base, ENGLISH, "deu_Latn", 0.0, 3).swapped() == {}


def test_finished_translations_are_kept_and_only_used_for_the_same_rows(tmp_path, monkeypatch):
    base = copy.copy(tiny.load("llama"))
    base.languages = ("eng_Latn", "spa_Latn")
    told: list[tuple[str, int, int]] = []

    class Told(Silent):
        def prepare(self, what: str, done: int, total: int) -> None:
            told.append((what, done, total))

    first = Bridge(base, ENGLISH, "deu_Latn", 0.5, 3, folder=tmp_path).swapped(Told())
    assert told[0] == ("bridging deu_Latn", 0, 6)
    assert told[-1] == ("bridging deu_Latn", 6, 6)
    monkeypatch.setattr(module, "attach", None)  # a second translation would fail
    assert Bridge(base, ENGLISH, "deu_Latn", 0.5, 3, folder=tmp_path).swapped() == first
    with pytest.raises(TypeError):
        Bridge(base, ENGLISH, "deu_Latn", 0.5, 4, folder=tmp_path).swapped()


def test_a_finished_run_takes_its_translations_away_and_leaves_those_of_others(tmp_path):
    base = copy.copy(tiny.load("llama"))
    base.languages = ("eng_Latn", "spa_Latn", "ita_Latn")
    german, french = (
        Pairs("deu_Latn", "eng_Latn", ENGLISH, ENGLISH, "x"),
        Pairs("eng_Latn", "fra_Latn", ENGLISH, ENGLISH, "x"),
    )
    regime = Modular(rank=2, epochs=2, rows=4, precision="fp32", tokens=400, bridge=0.5, rebridge=True)

    class Killed(Silent):
        def step(self, learner: Learner, loss: float) -> None:
            raise KeyboardInterrupt

    def kept() -> list[str]:
        return sorted(file.name[:8] for file in (tmp_path / "bridged").iterdir())

    with pytest.raises(KeyboardInterrupt):
        fit(base, [french], regime, dev=[french], work=tmp_path, reporter=Killed())
    done = fit(base, [german], regime, dev=[german], work=tmp_path)
    assert kept() == ["deu_Latn", "deu_Latn", "fra_Latn", "fra_Latn"]
    done.checkpoints.clear()
    assert kept() == ["fra_Latn", "fra_Latn"]
    fit(base, [french], regime, dev=[french], work=tmp_path).checkpoints.clear()
    assert not list(tmp_path.iterdir())


def test_a_base_that_knows_no_other_language_has_no_bridges():
    base = copy.copy(tiny.load("llama"))
    base.languages = ("eng_Latn", "deu_Latn")
    with pytest.raises(ConfigError, match=r"fit\.bridge"):
        Bridge(base, ENGLISH, "deu_Latn", 0.5, 1).swapped()


def test_a_bridged_row_names_its_own_language_on_the_english_side():
    base = tiny.load("llama")
    pairs = Pairs("deu_Latn", "eng_Latn", ("hund", "haus"), ("dog", "house"), "x")
    for role in Role:
        plain, mixed = encode(base, pairs, role), encode(base, pairs, role, {1: ("spa_Latn", "casa")})
        assert mixed[0] == plain[0]
        assert mixed[1] != plain[1]
        assert "spa_Latn" in mixed[1].direction
        row = mixed[1].text
        text = base.tokenizer.decode(row.source + row.target + row.answer)
        assert "Spanish" in text
        assert "casa" in text
        assert "haus" in text
