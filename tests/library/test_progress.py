"""The note of a running training: right while it runs, gone after it, and never in its way."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lingraft.fit.report import Silent
from lingraft.library import progress
from lingraft.library.progress import Progress, trainings


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)


def learner(**more):
    fields = {"name": "deu_Latn.source", "epoch": 1, "last_loss": 2.0, "best_loss": math.inf, "best_epoch": 1}
    return SimpleNamespace(**{**fields, "stopped": False, "past": 20, "step": 20, **more})


def test_a_note_is_kept_while_a_training_runs(tmp_path):
    assert trainings(tmp_path) == []
    with Progress(tmp_path, ["deu_Latn"]) as kept:
        (note,) = trainings(tmp_path)
        assert (note["languages"], note["state"], note["step"], note["steps"]) == (["deu_Latn"], "starting", 0, None)
        kept.prepare("translating", 3, 9)
        assert [(n["state"], n["step"], n["steps"]) for n in trainings(tmp_path)] == [("translating", 3, 9)]
        kept.start(100, 10)
        for _ in range(5):
            kept.step(learner(), 2.5)
        (note,) = trainings(tmp_path)
        assert (note["state"], note["step"], note["steps"], note["loss"]) == ("training", 15, 100, 2.5)
        assert note["seconds_left"] >= 0
        kept.epoch(learner(stopped=True, past=40))
        (note,) = trainings(tmp_path)
        assert note["step"] == 35  # what is left of a learner that stopped early is done, too
        assert note["adapters"]["deu_Latn.source"]["dev_loss"] == 2.0
        assert note["adapters"]["deu_Latn.source"]["best_loss"] is None  # JSON holds no infinity
        json.dumps(note, allow_nan=False)
    assert list(tmp_path.glob(".runs/*")) == trainings(tmp_path) == []


def test_a_failed_training_leaves_no_note_and_a_killed_one_is_not_shown(tmp_path):
    with pytest.raises(ZeroDivisionError), Progress(tmp_path, ["deu_Latn"]):
        raise ZeroDivisionError
    assert trainings(tmp_path) == []
    with Progress(tmp_path, ["deu_Latn"]):
        (path,) = tmp_path.glob(".runs/progress-*.json")
        path.rename(path.with_name("progress-999999999.json"))
        assert trainings(tmp_path) == []


def test_notes_that_are_none_are_passed_over(tmp_path):
    folder = tmp_path / ".runs"
    folder.mkdir(parents=True)
    for name, text in (("1", "["), ("2", "[]"), ("x", "{}"), ("3", '{"host": 1')):
        (folder / f"progress-{name}.json").write_text(text)
    assert trainings(tmp_path) == []


def test_where_it_cannot_be_written_the_training_goes_on(tmp_path):
    (tmp_path / ".runs").write_text("in the way")
    with Progress(tmp_path, ["deu_Latn"]) as kept:
        kept.start(10, 0)
        kept.step(learner(), 1.0)
    assert trainings(tmp_path) == []


def test_another_reporter_is_told_the_same(tmp_path):
    told = []

    class Other(Silent):
        def step(self, learner, loss):
            told.append(loss)

    with Progress(tmp_path, ["deu_Latn"]) as kept:
        assert kept.beside(None) is kept
        kept.beside(Other()).step(learner(), 1.5)
        assert (told, trainings(tmp_path)[0]["loss"]) == ([1.5], 1.5)


def test_notes_of_killed_trainings_go_with_the_next_one(tmp_path):
    with Progress(tmp_path, ["deu_Latn"]) as kept:
        text = kept._path.read_text()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = tmp_path / ".runs" / f"progress-{gone.pid}.json"
    elsewhere = tmp_path / ".runs" / "progress-1.json"
    dead.write_text(text)
    elsewhere.write_text(text.replace(json.dumps(platform.node()), '"another machine"'))
    with Progress(tmp_path, ["fra_Latn"]):
        assert not dead.exists()
        assert elsewhere.exists()
