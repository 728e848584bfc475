"""Rows that are longer than the base's context are counted in the plan, and refused there if they are all."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import tiny
from lingraft.atoms import ENGLISH, DataError, Direction
from lingraft.cli import app
from lingraft.corpus import Pairs
from lingraft.fit import Joint, Modular
from lingraft.fit.fresh import too_long
from lingraft.library.joint import plan_joint
from lingraft.library.plan import plan
from lingraft.library.window import left_out

REGIME = Modular(rank=2)


def write(folder: Path, short: int, long: int, languages: tuple[str, str] = ("deu_Latn", ENGLISH)) -> str:
    """Rows of which some are far longer than 128 tokens, whichever the tokenizer."""
    words = "qx zj kw vy"
    rows = [f"{words} {i}\t{words} {i}e\n" for i in range(short)]
    rows += [f"{(words + ' ') * 20}{i}\t{(words + ' ') * 20}{i}e\n" for i in range(long)]
    (folder / f"{languages[0]}-{languages[1]}.tsv").write_text("".join(rows))
    return str(folder / "{a}-{b}.tsv")


@pytest.fixture(params=["llama", "m2m_100"])
def base(request, monkeypatch):
    found = tiny.load(request.param)
    monkeypatch.setattr(found.model.config, "max_position_embeddings", 128)
    return found


def test_the_bound_by_bytes_counts_what_the_tokens_count(base):
    words = [" ".join(["маленькая собака"] * n) for n in range(1, 60)]
    pairs = Pairs(ENGLISH, "rus_Cyrl", tuple("a small dog" for _ in words), tuple(words), "made")
    for direction in (Direction(ENGLISH, "rus_Cyrl"), Direction("rus_Cyrl", ENGLISH)):
        rows = base.format.encode(direction, pairs.of(direction.source), pairs.of(direction.target))
        expected = sum(base.room(row) < 0 for row in rows)
        assert (too_long(base, direction, pairs), 0 < expected < len(words)) == (expected, True)


def test_what_surely_fits_is_not_tokenised(base, monkeypatch):
    pairs = Pairs(ENGLISH, "rus_Cyrl", ("a",) * 9, ("б",) * 9, "made")
    encode, seen = type(base.format).encode, []
    monkeypatch.setattr(
        type(base.format), "encode", lambda self, way, texts, *a: (seen.extend(texts), encode(self, way, texts, *a))[1]
    )
    assert left_out(base, [pairs]) == []
    assert seen == ["", ""]


def test_a_plan_says_how_many_rows_are_too_long(base, tmp_path):
    (tmp_path / "dev").mkdir()
    pattern, dev = write(tmp_path, 30, 12), write(tmp_path / "dev", 4, 3)
    notes = plan(base, ["deu_Latn"], pattern, dev_pattern=dev, regime=REGIME).notes
    assert "12 of 42 rows of German are longer than the base's 128 tokens and are left out" in notes
    assert "3 of 7 dev rows of German are longer than the base's 128 tokens and are left out" in notes
    assert not any("longer" in note for note in plan(base, ["deu_Latn"], write(tmp_path, 30, 0), regime=REGIME).notes)
    write(tmp_path, 30, 12, ("deu_Latn", "fra_Latn"))
    write(tmp_path / "dev", 30, 0, ("deu_Latn", "fra_Latn"))
    wanted = plan_joint(base, ["deu_Latn", "fra_Latn"], pattern, dev, Joint(rank=2))
    assert "12 of 42 rows of German and French are longer than the base's 128 tokens and are left out" in wanted.notes


def test_text_of_which_no_row_fits_is_refused_in_the_plan(base, tmp_path):
    (tmp_path / "dev").mkdir()
    pattern, dev = write(tmp_path, 30, 0), write(tmp_path / "dev", 0, 3)
    with pytest.raises(DataError, match=r"dev/deu_Latn-eng_Latn\.tsv must hold dev rows of at most 128 tokens"):
        plan(base, ["deu_Latn"], pattern, dev_pattern=dev, regime=REGIME)
    with pytest.raises(DataError, match="must hold dev rows of at most 128 tokens"):
        plan_joint(base, ["deu_Latn", ENGLISH], pattern, dev, Joint(rank=2))
    write(tmp_path, 0, 30)
    with pytest.raises(DataError, match=r"must hold rows of at most 128 tokens .* Give shorter sentences\."):
        plan(base, ["deu_Latn"], pattern, dev_pattern=dev, regime=REGIME)


def test_a_dry_run_says_the_same(tmp_path, monkeypatch):
    base = tiny.load("llama")
    monkeypatch.setattr(base.model.config, "max_position_embeddings", 128)
    monkeypatch.setattr("lingraft.library.cli.open_base", lambda *_: base)
    words = ["add", "deu_Latn", "--library", str(tmp_path / "new"), "fit.rank=2", "--dry-run", "--pairs"]
    done = CliRunner().invoke(app, [*words, write(tmp_path, 30, 12)])
    assert "rows of German are longer than the base's 128 tokens and are left out" in done.output
    failed = CliRunner().invoke(app, [*words, write(tmp_path, 0, 30)])
    assert isinstance(failed.exception, DataError)
    assert not (tmp_path / "new").exists()
