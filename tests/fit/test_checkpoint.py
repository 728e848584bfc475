"""A kill while checkpoints are removed leaves nothing that looks whole and is not."""

from __future__ import annotations

import os

import pytest

import tiny
from laws.test_fit import REGIME, corpus
from lingraft.fit import Modular, fit

QUICK: Modular = REGIME.model_copy(update={"epochs": 1})
REMOVALS = ("unlink", "rmdir", "rename")


class Killed(BaseException):
    """The process is no more; nothing of it runs on."""


def kill_at(monkeypatch, step: int) -> list[str]:
    """Let the process die right after so many steps that remove or rename something; return what was done."""
    done: list[str] = []

    def wrap(name: str):
        real = getattr(os, name)

        def call(*args, **kwargs):
            if len(done) >= step:
                raise Killed
            result = real(*args, **kwargs)
            done.append(name)
            if len(done) == step:
                raise Killed
            return result

        return call

    for name in REMOVALS:
        monkeypatch.setattr(os, name, wrap(name))
    return done


def test_a_kill_at_any_step_of_clearing_leaves_a_run_that_goes_on(tmp_path, monkeypatch):
    base = tiny.load("llama", layers=1)
    train, dev = corpus("deu_Latn")
    step = 0
    while True:
        step += 1
        work = tmp_path / str(step)
        run = fit(base, train, QUICK, dev=dev, work=work)
        with monkeypatch.context() as patch:
            done = kill_at(patch, step)
            try:
                run.checkpoints.clear()
            except Killed:
                pass
            else:
                break
        assert len(done) == step
        fit(base, train, QUICK, dev=dev, work=work).checkpoints.clear()
        assert list(work.iterdir()) == []
    assert step > 4  # the name, the state's two files, the folder, the lock


@pytest.mark.parametrize("step", range(1, 5))
def test_a_kill_while_the_older_checkpoint_goes_keeps_the_newer_one(step, tmp_path, monkeypatch):
    base = tiny.load("llama", layers=1)
    train, dev = corpus("deu_Latn")
    run = fit(base, train, QUICK, dev=dev, work=tmp_path)
    last = run.learners[0].past
    with monkeypatch.context() as patch:
        kill_at(patch, step + 1)  # the newer one takes its name first
        with pytest.raises(Killed):
            run.checkpoints.save(run.learners, last + 1)
    names = [path.name for path in run.checkpoints.folder.glob("step-*")]
    assert names == [f"step-{last + 1:09d}"]
    assert run.checkpoints.restore(run.learners) == last + 1
    assert not list(run.checkpoints.folder.glob(".draft-*"))
