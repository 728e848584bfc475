"""`lingraft measure` with mixings: which directions they are about, and the choice between direct and pivot."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import small
from lingraft.atoms import ConfigError, DataError, Direction
from lingraft.cli import app
from lingraft.corpus import read_testset
from lingraft.direction import Recipe
from lingraft.library.mixing import Mixing, mixing, store
from lingraft.measure import Results
from lingraft.measure.contrast import Contrast
from lingraft.measure.run import measure_library

MIXED = Direction("deu_Latn", "fra_Latn")
SINGLE = Direction("deu_Latn", "eng_Latn")


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    library, base = small.library(folder)
    return library, base, small.testset(folder, 30)


def measured(stage, recipe=None) -> dict[Direction, tuple[str, ...]]:
    library, _, pattern = stage
    found = measure_library(
        library,
        read_testset(pattern, None, None),
        ("deu_Latn", "fra_Latn", "eng_Latn"),
        vias=("direct",),
        recipe=recipe,
        step=lambda what, count: lambda ready: None,
        keep_outputs=True,
    )
    return {Direction(source, target): texts for (source, target, _), texts in found.outputs.items()}


def test_a_mixing_is_about_directions_with_two_adapters(stage):
    plain, mixed, everywhere = (measured(stage, r) for r in (None, Mixing(Recipe(0.2, 1.9)), Recipe(0.2, 1.9)))
    assert mixed[MIXED] == everywhere[MIXED] != plain[MIXED]
    assert mixed[SINGLE] == plain[SINGLE] != everywhere[SINGLE]


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
