from __future__ import annotations

from pathlib import Path

import pytest
import sacrebleu

from lingraft.atoms import DataError, Direction
from lingraft.measure import Scorer, bleu_tokenizer, scores
from lingraft.measure import score as score_direction
from lingraft.measure.scores import score

HYPOTHESES = ["the dog sees a house", "where is water ?", "it is nice"]
REFERENCES = ["the dog sees the house", "where is the water?", "the weather is nice today"]


def test_agrees_with_sacrebleu_and_is_really_chrf_plus_plus() -> None:
    chrf, bleu = score(HYPOTHESES, REFERENCES)
    assert chrf.metric == "chrF++"
    assert chrf.value == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES], word_order=2).score, abs=1e-9)
    assert chrf.value != pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES], word_order=0).score, abs=1e-3)
    assert "nw:2" in chrf.signature.split("|")
    assert "nrefs:1" in chrf.signature.split("|")
    assert bleu.metric == "BLEU"
    assert bleu.value == pytest.approx(sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score, abs=1e-9)
    assert "tok:13a" in bleu.signature
    assert f"version:{sacrebleu.__version__}" in bleu.signature


def test_a_scorer_can_be_used_again() -> None:
    scorer = Scorer(REFERENCES)
    first = scorer.score(HYPOTHESES)
    assert scorer.score(REFERENCES)[0].value == pytest.approx(100)
    assert scorer.score(HYPOTHESES) == first
    assert scorer.score(["", "", ""])[0].value == 0


@pytest.mark.parametrize(
    ("hypotheses", "references"),
    [(["a", "b"], ["a"]), (["a"], ["a"] * 5), ([], []), (["a"], []), ([], ["a"]), ("a", ["a"]), (["a"], "a")],
)
def test_refuses_unequal_or_empty(hypotheses: list[str], references: list[str]) -> None:
    with pytest.raises(DataError, match="must"):
        score(hypotheses, references)


def test_without_the_model_bleu_is_13a_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "SACREBLEU_DIR", str(tmp_path))
    name, note = bleu_tokenizer()
    assert name == "13a"
    assert "not spBLEU" in note


def test_a_model_on_the_disk_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "SACREBLEU_DIR", str(tmp_path))
    path = scores._spm_path("flores101")
    path.parent.mkdir()
    path.write_bytes(b"")
    assert bleu_tokenizer()[0] == "flores101"


def test_a_fetch_that_fails_or_hangs_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "SACREBLEU_DIR", str(tmp_path))
    page = tmp_path / "error.html"
    page.write_text("<html>not found</html>")
    monkeypatch.setattr(scores, "_spm_url", lambda name: page.as_uri())
    assert bleu_tokenizer(fetch=True)[0] == "13a"
    monkeypatch.setattr(scores, "_spm_url", lambda name: (tmp_path / "missing").as_uri())
    name, note = bleu_tokenizer(fetch=True)
    assert name == "13a"
    assert "could not be fetched" in note
    assert not list(tmp_path.rglob("*.model*"))
    monkeypatch.setattr(scores, "_download", lambda name, seconds: __import__("time").sleep(5))
    assert bleu_tokenizer(fetch=True, seconds=0.05)[0] == "13a"


class _Upper:
    direction: Direction | None = Direction("a", "b")

    def translate(self, texts: list[str]) -> list[str]:
        return [text.upper() for text in texts]


class _Lines:
    lines = {"a": ("one dog", "two dogs"), "b": ("ONE DOG", "TWO CATS")}  # noqa: RUF012


def test_quick_tour() -> None:
    translator = _Upper()
    assert score_direction(translator, _Lines()) == score(["ONE DOG", "TWO DOGS"], ["ONE DOG", "TWO CATS"])
    translator.direction = Direction("a", "c")
    with pytest.raises(DataError, match="`testset` must hold c"):
        score_direction(translator, _Lines())
    translator.direction = None
    with pytest.raises(DataError, match="one direction"):
        score_direction(translator, _Lines())
