"""Which measurements a library keeps for the page of the service: those of all that is served, as it is served."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from lingraft.cli import app
from lingraft.library.places import LANGUAGES, RECIPES, SCORES_FILE, Places
from lingraft.measure import cli
from lingraft.measure.results import Results
from lingraft.measure.row import Row

ROW = Row("deu_Latn", "fra_Latn", "direct", 50.0, 20.0, 0.0, 10, "s", "b")


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A function that measures with some words, all but the measuring itself, and says what the library keeps."""
    library = tmp_path / "lib"
    for folder in (LANGUAGES, RECIPES):
        (library / folder).mkdir(parents=True)
    (library / LANGUAGES / "deu_Latn.json").write_text("1")
    places = Places(library)
    fake = SimpleNamespace(
        path=library, places=places, patience=1.0, languages=places.languages, profiles=lambda: {},
        base=SimpleNamespace(sites=()),
    )  # fmt: skip
    results = Results((ROW,), ("deu_Latn", "fra_Latn"), identifier={})
    monkeypatch.setattr(cli, "open_library", lambda *_: fake)
    monkeypatch.setattr(cli, "read_testset", lambda *_: SimpleNamespace(lines={"deu_Latn": ("x",) * 30}))
    monkeypatch.setattr(cli, "choose_languages", lambda *_: ())
    monkeypatch.setattr(cli, "choose_vias", lambda *_: {})
    monkeypatch.setattr(cli, "named", lambda *_: None)
    act_meanwhile: list = []
    monkeypatch.setattr(cli, "measure_library", lambda *_, **__: [*(each() for each in act_meanwhile), results][-1])

    def act(*words: str) -> str | None:
        (library / SCORES_FILE).unlink(missing_ok=True)
        done = CliRunner().invoke(app, ["measure", "--library", str(library), "--testset", "x.{lang}", *words])
        assert done.exception is None, done.output
        return (library / SCORES_FILE).read_text() if (library / SCORES_FILE).exists() else None

    act.library = library
    act.results = results
    act.meanwhile = act_meanwhile
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


@pytest.mark.parametrize(
    ("file", "kept"),
    [
        ("languages/deu_Latn.json", False), ("languages/fra_Latn.json", False), ("languages/rus_Cyrl.json", True),
        ("recipes/deu_Latn-fra_Latn.yaml", False), ("recipes/default.yaml", False),
    ],
)  # fmt: skip
def test_what_changed_while_it_was_measured_has_no_scores(measured, file, kept):
    measured.meanwhile.append(lambda: (measured.library / file).write_text("another"))
    assert (measured() is not None) == kept


def test_a_language_that_went_while_it_was_measured_has_no_scores(measured):
    measured.meanwhile.append(lambda: (measured.library / "languages/deu_Latn.json").unlink())
    assert measured() is None
