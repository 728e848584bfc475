"""Which measurements a library keeps for the page of the service: those of all that is served, as it is served."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from lingraft.cli import app
from lingraft.library.places import SCORES_FILE
from lingraft.measure import cli
from lingraft.measure.results import Results
from lingraft.measure.row import Row

ROW = Row("deu_Latn", "fra_Latn", "direct", 50.0, 20.0, 0.0, 10, "s", "b")


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A function that measures with some words, all but the measuring itself, and says what the library keeps."""
    library = tmp_path / "lib"
    library.mkdir()
    fake = SimpleNamespace(path=library, profiles=lambda: {}, base=SimpleNamespace(sites=()))
    results = Results((ROW,), ("deu_Latn", "fra_Latn"), identifier={})
    monkeypatch.setattr(cli, "open_library", lambda *_: fake)
    monkeypatch.setattr(cli, "read_testset", lambda *_: SimpleNamespace(lines={"deu_Latn": ("x",) * 30}))
    monkeypatch.setattr(cli, "choose_languages", lambda *_: ())
    monkeypatch.setattr(cli, "choose_vias", lambda *_: {})
    monkeypatch.setattr(cli, "named", lambda *_: None)
    monkeypatch.setattr(cli, "measure_library", lambda *_, **__: results)

    def act(*words: str) -> str | None:
        (library / SCORES_FILE).unlink(missing_ok=True)
        done = CliRunner().invoke(app, ["measure", "--library", str(library), "--testset", "x.{lang}", *words])
        assert done.exception is None, done.output
        return (library / SCORES_FILE).read_text() if (library / SCORES_FILE).exists() else None

    act.library = library
    act.results = results
    return act


def test_a_full_measurement_is_kept(measured):
    assert measured() == measured.results.to_json()
    assert measured("--via", "direct,pivot") == measured.results.to_json()


@pytest.mark.parametrize(
    "words",
    [
        ("--limit", "3"), ("--languages", "de,fr"), ("--via", "base,pivot"), ("--beam", "2"), ("--choose",),
        ("--method", "ties"), ("--recipe", "library"), ("recipe.source=0.5",),
    ],
)  # fmt: skip
def test_what_is_not_all_that_is_served_is_not_kept(measured, words):
    assert measured(*words) is None


def test_a_library_that_cannot_be_written_is_a_warning(measured, monkeypatch):
    monkeypatch.setattr(cli, "SCORES_FILE", "no folder/x")
    assert measured() is None
