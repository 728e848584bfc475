"""`lingraft measure` with mixings: which directions they are about, and the choice between direct and pivot."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import small
from lingraft.atoms import ENGLISH, ConfigError, DataError, Direction, LibraryError
from lingraft.cli import app
from lingraft.corpus import read_testset
from lingraft.corpus.phrasebook import book
from lingraft.direction import Recipe
from lingraft.library.mixing import Mixing, mixing, store
from lingraft.measure import Results, demonstration
from lingraft.measure.contrast import Contrast
from lingraft.measure.run import measure_library

MIXED = Direction("deu_Latn", "fra_Latn")
SINGLE = Direction("deu_Latn", "eng_Latn")


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    library, base = small.library(folder)
    return library, base, small.testset(folder, 30)


def measured(stage, made=None, **more) -> dict[Direction, tuple[str, ...]]:
    library, _, pattern = stage
    found = measure_library(
        library,
        read_testset(pattern, None, None),
        ("deu_Latn", "fra_Latn", "eng_Latn"),
        vias=("direct",),
        made=made,
        **more,
        step=lambda what, count: lambda ready: None,
        keep_outputs=True,
    )
    return {Direction(source, target): texts for (source, target, _), texts in found.outputs.items()}


def test_a_mixing_is_about_directions_with_two_adapters(stage):
    plain, mixed = (measured(stage, made) for made in (None, Mixing(Recipe(0.2, 1.9))))
    assert mixed[MIXED] != plain[MIXED]
    assert mixed[SINGLE] == plain[SINGLE]


@pytest.mark.parametrize("words", [["recipe.source=0.2", "recipe.target=1.9"], ["--recipe", "FILE"]])
def test_weights_on_the_command_line_leave_the_pivot_as_it_is(stage, tmp_path, words):
    library, base, pattern = stage
    (tmp_path / "mine.yaml").write_text("source: 0.2\ntarget: 1.9\n")
    words = [str(tmp_path / "mine.yaml") if word == "FILE" else word for word in words]

    def rows(*more: str) -> dict[tuple[str, str, str], float]:
        command = ["measure", "--library", str(library.path), "--base", str(base), "--device", "cpu", "--json", "-"]
        command += ["--testset", pattern, "--via", "direct, pivot", "--languages", "deu,fra", "--limit", "5", *more]
        outcome = CliRunner().invoke(app, command, catch_exceptions=False)
        return {(row.source, row.target, row.via): row.chrf for row in Results.from_json(outcome.stdout).rows}

    plain, mixed = rows(), rows(*words)
    assert {key for key in plain if plain[key] != mixed[key]} == {key for key in plain if key[2] == "direct"}


def test_another_method_keeps_what_else_is_stored(stage, tmp_path):
    library, base, pattern = stage
    own, file, outputs = Mixing(Recipe(0.2, 1.9), options={"density": 0.5}), tmp_path / "a.json", tmp_path / "a.jsonl"
    expected = measured(stage, replace(own, method="ties"))[MIXED]
    plain = measured(stage, Mixing(method="ties"))
    assert plain[MIXED] != expected
    store(library, MIXED, own)
    try:
        found = measured(stage, method="ties")
        assert found == {**plain, MIXED: expected}
        command = ["measure", "--library", str(library.path), "--base", str(base), "--device", "cpu"]
        command += ["--testset", pattern, "--via", "direct", "--languages", "deu_Latn,fra_Latn", "--method", "ties"]
        command += ["--json", str(file), "--outputs", str(outputs)]
        CliRunner().invoke(app, command, catch_exceptions=False)
        rows = [json.loads(line) for line in outputs.read_text().splitlines()]
        assert tuple(row["text"] for row in rows if (row["source"], row["target"]) == MIXED) == expected
        (note,) = (note for note in Results.from_json(file.read_text()).notes if "merged by" in note)
        assert "but 1 directions as the library has stored, all merged by ties" in note
    finally:
        (library.path / "recipes" / f"{MIXED}.yaml").unlink()


def test_the_comparison_is_seen(stage):
    library, _, pattern = stage
    seen = {}

    def step(what, count):
        seen[what] = [count, 0]
        return lambda ready: seen[what].__setitem__(1, seen[what][1] + ready)

    measure_library(library, read_testset(pattern, None, None), MIXED, vias=("direct", "pivot"), step=step)
    assert seen["comparing direct and pivot"] == [2, 2]


def test_what_is_stored_is_measured_and_said(stage, tmp_path):
    library, base, pattern = stage
    file, expected = tmp_path / "a.json", measured(stage, Mixing(Recipe(0.2, 1.9)))
    store(library, MIXED, Mixing(Recipe(0.2, 1.9)))
    try:
        assert measured(stage)[MIXED] == expected[MIXED]
        command = ["measure", "--library", str(library.path), "--base", str(base), "--device", "cpu"]
        command += ["--testset", pattern, "--languages", "deu_Latn,fra_Latn", "--via", "direct,pivot"]
        outcome = CliRunner().invoke(app, [*command, "--json", str(file), "--choose"], catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        results = Results.from_json(file.read_text())
        assert any("but 1 directions as the library has stored" in note for note in results.notes)
        assert len(results.contrasts) == 3
        assert results.contrasts[-1].source == "all"
        assert isinstance(results.contrasts[0], Contrast)
        worse = {(each.source, each.target) for each in results.contrasts if each.verdict == "worse"}
        assert (mixing(library, MIXED).via == "pivot") == (MIXED in worse)
        assert "contrasts" in json.loads(file.read_text())
    finally:
        (library.path / "recipes" / f"{MIXED}.yaml").unlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--choose", "--via", "direct"], "direct and pivot"),
        (["--choose", "recipe.target=3"], "as they are served"),
        (["--choose", "--method", "ties"], "as they are served"),
        (["--choose", "--beam", "4"], "as they are served"),
        (["--choose", "--limit", "29"], "at least 30 lines"),
        (["recipe.source=1", "--method", "ties"], "Drop one"),
        (["--languages", "German"], "`--languages` must name at least two, but names deu_Latn alone"),
        (["--via", "direct,through"], "`via` must be among base, direct, pivot, but holds 'through'"),
        (["--via", ","], "`via` must be among base, direct, pivot, but is empty"),
        (["--outputs", "-"], "`-` must be where JSON goes"),
        (["recipe.source=1e30"], "from -1000 to 1000"),
        (["--recipe", "none"], "--recipe"),
        (["--method", "tie"], "Did you mean ties"),
    ],
)
def test_bad_input(stage, words, message):
    library, base, pattern = stage
    command = ["measure", *words, "--library", str(library.path), "--base", str(base), "--testset", pattern]
    with pytest.raises((ConfigError, DataError), match=message):
        CliRunner().invoke(app, [*command, "--device", "cpu"], catch_exceptions=False)


def test_few_sentences_compare_nothing(stage, tmp_path):
    library, base, pattern = stage
    command = ["measure", "--library", str(library.path), "--base", str(base), "--testset", pattern, "--limit", "3"]
    command += ["--languages", "deu_Latn,fra_Latn", "--json", str(tmp_path / "a.json"), "--device", "cpu"]
    outcome = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "significantly" not in outcome.output
    results = Results.from_json((tmp_path / "a.json").read_text())
    assert results.contrasts == ()
    assert "Direct and pivot are not compared: that takes 30 sentences." in results.notes


def test_a_demo_that_cannot_be_written_says_so(tmp_path, few_sentences):
    (tmp_path / "afile").write_text("")
    with pytest.raises(LibraryError, match="`.*phrasebook` must be writable"):
        CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "afile" / "x")], catch_exceptions=False)


def test_a_demo_may_lie_in_a_folder_of_any_name(tmp_path, few_sentences, monkeypatch):
    out, heard = tmp_path / "train" / "demo", {}
    monkeypatch.setattr(demonstration, "plan", lambda base, languages, pairs, **more: heard.update(more, pairs=pairs))
    monkeypatch.setattr(demonstration, "grow", lambda *_, **__: None)
    monkeypatch.setattr(demonstration, "Library", SimpleNamespace(open=lambda *_: None))
    text, tests = demonstration.prepare(out)
    demonstration.train(None, out / "library", text, None, "")
    assert len(tests.lines[ENGLISH]) == 2
    for field, count in (("pairs", 20), ("dev_pattern", 2)):
        file = Path(heard[field].format(a=ENGLISH, b="epo_Latn"))
        assert len(gzip.decompress(file.read_bytes()).splitlines()) == count


@pytest.fixture
def few_sentences(monkeypatch):
    made = book.Phrasebook(*(book.split([("a",) * 4] * count) for count in (20, 2, 2)))
    monkeypatch.setattr(demonstration.phrasebook, "generate", lambda **_: made)
