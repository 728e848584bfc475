"""The verb `update`: newer adapters with the settings of the installed ones, and a way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import tiny
from lingraft.atoms import LibraryError, Role
from lingraft.cli import app
from lingraft.library import Library, grow
from lingraft.library.progress import Progress, trainings

SETTINGS = ("fit.epochs=1", "fit.rank=2", "fit.precision=fp32", "fit.rows=16")


def lingraft(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def grown(tmp_path_factory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("update")
    rows = "".join(f"deu {i} a b\tenglish {i} c d\n" for i in range(24))
    (folder / "deu_Latn-eng_Latn.tsv").write_text(rows)
    path, base = folder / "lib", tiny.base("llama", folder, layers=1)
    more = ["--pairs", str(folder / "{a}-{b}.tsv"), "--library", str(path), "--base", str(base), "--device", "cpu"]
    done = lingraft("add", "deu_Latn", *more, *SETTINGS)
    assert done.exit_code == 0, done.exception
    return path, more


def test_an_update_keeps_the_settings_and_can_be_taken_back(grown, monkeypatch):
    path, more = grown
    library, seen = Library.open(path), []
    before, settings = library.pointer("deu_Latn"), library.manifest("deu_Latn", Role.SOURCE).record.training.settings
    start = Progress.start
    monkeypatch.setattr(Progress, "start", lambda *a: (start(*a), seen.extend(trainings(path))))
    done = lingraft("update", "German", *more, "fit.seed=2")
    assert done.exit_code == 0, done.exception
    assert done.output.splitlines()[-1].startswith("updated German (deu_Latn): source ")
    now = library.pointer("deu_Latn")
    assert (now.source != before.source, len(now.history)) == (True, 1)
    assert library.manifest("deu_Latn", Role.SOURCE).record.training.settings == {**settings, "seed": 2}
    assert [(note["languages"], note["state"]) for note in seen] == [(["deu_Latn"], "training")]
    assert trainings(path) == []
    assert lingraft("rollback", "German", "--library", path).exit_code == 0
    assert library.pointer("deu_Latn").source == before.source
    same = lingraft("update", "German", *more)
    assert same.output.splitlines()[-1].startswith("nothing new for German")


def test_what_is_not_installed_is_not_updated(grown):
    path, more = grown
    failed = lingraft("update", "French", *more)
    assert isinstance(failed.exception, LibraryError)
    assert Library.open(path).languages() == ("deu_Latn",)
    plan = lingraft("update", "German", *more, "--dry-run")
    assert (plan.exit_code, "rank 2" in plan.output) == (0, True)


def test_the_very_same_training_is_not_done_again(grown, monkeypatch):
    path, more = grown
    before, trained = Library.open(path).pointer("deu_Latn"), []
    whole = grow.fit
    monkeypatch.setattr(
        grow, "fit", lambda base, corpus, *a, **k: (trained.append(len(corpus)), whole(base, corpus, *a, **k))[1]
    )
    again = lingraft("add", "deu_Latn", *more, *SETTINGS)
    assert again.output.splitlines()[-1].startswith("nothing new for German")
    assert "German is in the library already; what it has now stays in its history" in again.output
    assert (trained, Library.open(path).pointer("deu_Latn")) == ([], before)
    folder = path.parent
    (folder / "eng_Latn-fra_Latn.tsv").write_text("".join(f"english {i} c d\tfra {i} a b\n" for i in range(24)))
    both = lingraft("add", "deu_Latn", "fra_Latn", *more, *SETTINGS)
    assert both.exit_code == 0, both.exception
    assert trained == [1]  # French alone
    for words in (["fit.seed=3"], ["--dev", str(folder / "{a}-{b}.tsv")]):
        assert lingraft("add", "fra_Latn", *more, *SETTINGS, *words).output.splitlines()[-1].startswith("added French")
    text = folder / "deu_Latn-eng_Latn.tsv"
    text.write_text(text.read_text().replace("english 7", "english seven"))
    assert lingraft("add", "deu_Latn", *more, *SETTINGS).output.splitlines()[-1].startswith("added German")
    assert trained == [1] * 4
    Library.open(path).remove("fra_Latn")
