from __future__ import annotations

import copy
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

import tiny
from lingraft.atoms import AdapterName, ConfigError, DataError, Direction, Role, Scope
from lingraft.base import Encoded
from lingraft.corpus import Pairs
from lingraft.fit import Full, Material, Silent, fit
from lingraft.fit.learner import Learner, Row
from lingraft.fit.modular import AdapterLearner, Modular, Task
from lingraft.fit.report import TensorBoard


def learner(rows: int = 10, **settings: object) -> AdapterLearner:
    base = tiny.load("llama")
    encoded = [Row(Direction("eng_Latn", "deu_Latn"), Encoded((1, i), (2,), (3,))) for i in range(rows)]
    task = Task(AdapterName("deu_Latn", Role.TARGET), Scope.TARGET, tuple(base.sites)[:2], encoded, encoded[:1])
    return AdapterLearner(base, task, Modular(rank=2, rows=4, epochs=2, **settings))


def test_each_row_is_seen_once_per_epoch_and_in_another_order_each_time():
    one = learner()
    epochs = []
    for _ in range(2):
        seen = []
        for _ in range(one.steps_per_epoch):
            seen += one.rows()
            one.step += 1
        epochs.append(seen)
    assert one.done
    for seen in epochs:
        assert sorted(seen, key=lambda row: row.text.source) == one.task.rows
    assert epochs[0] != epochs[1]


def test_the_rate_rises_and_falls_linearly():
    one = learner(rows=400, warmup=0.1, learning_rate=1.0)
    rates = []
    while not one.done:
        rates.append(one.rate())
        one.step += 1
    assert rates[0] == pytest.approx(1 / 20)
    assert max(rates) == rates[19] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    falls = [a - b for a, b in pairwise(rates[20:])]
    assert max(falls) == pytest.approx(min(falls))


def test_it_keeps_the_best_epoch_and_stops_after_worse_ones():
    one = learner(patience=2)
    first = next(iter(one.updates))
    seen = []
    for loss in (2.0, 1.0, 1.5, 1.2):
        seen.append(one.updates[first].A.detach().clone())
        one.judge(loss)
        one.updates[first].A.data += 1
    assert (one.best_loss, one.stopped, one.done) == (1.0, True, True)
    assert (one.step, one.past) == (0, one.total_steps)  # for who shows how far a run is
    kept = one.trained()[one.task.name].adapter
    assert kept.updates.keys() == one.updates.keys()
    assert torch.equal(kept.updates[first].A, seen[1])


def test_settings_that_do_not_fit_the_base_are_refused():
    base = tiny.load("llama")
    with pytest.raises(ConfigError, match=r"fit\.sites.*wq"):
        Modular(sites=("wq",)).sites_of(base, Role.SOURCE)
    with pytest.raises(ConfigError, match=r"fit\.rank"):
        Modular(rank=512).sites_of(base, Role.SOURCE)


def test_text_must_be_paired_with_english_and_have_dev_text():
    base = tiny.load("llama")
    wrong = Pairs("deu_Latn", "fra_Latn", ("a",), ("b",), "x")
    with pytest.raises(DataError, match="eng_Latn"):
        Modular(rank=2).learners(base, Material([wrong], [wrong]))
    right = Pairs("deu_Latn", "eng_Latn", ("a",), ("b",), "x")
    with pytest.raises(DataError, match="one text of deu_Latn"):
        Modular(rank=2).learners(base, Material([right, right], [right]))
    with pytest.raises(DataError, match="dev"):
        Modular(rank=2).learners(base, Material([right], []))
    for dev in (None, [], [right]):
        with pytest.raises(DataError, match="`corpus` must hold text"):
            fit(base, [], Modular(rank=2), dev=dev)


@pytest.mark.parametrize("regime", [Modular(rank=2), Full()])
def test_a_run_on_a_base_of_another_type_is_another_run(regime, tmp_path):
    base = tiny.load("llama")
    half = copy.copy(base)
    half.model = copy.deepcopy(base.model).bfloat16()
    assert half.fingerprint == base.fingerprint
    text = Pairs("deu_Latn", "eng_Latn", ("a", "b"), ("c", "d"), "x")

    class Killed(Silent):
        def step(self, learner: Learner, loss: float) -> None:
            raise KeyboardInterrupt

    for each in (base, base, half):
        with pytest.raises(KeyboardInterrupt):
            fit(each, [text], regime, dev=[text], work=tmp_path, reporter=Killed())
    assert len(list(tmp_path.iterdir())) == 2


def test_a_log_has_the_rate_that_each_step_took(monkeypatch, tmp_path):
    rates = []
    writer = SimpleNamespace(add_scalar=lambda name, value, step: rates.append(value) if "rate" in name else None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=lambda _: writer))
    writer.close = lambda: None
    base = tiny.load("llama")
    pairs = Pairs("deu_Latn", "eng_Latn", tuple("abcdefgh"), tuple("abcdefgh"), "x")
    regime = Modular(rank=2, rows=2, epochs=2, warmup=0.5, learning_rate=1.0, precision="fp32")
    fit(base, [pairs], regime, dev=[pairs], reporter=TensorBoard(tmp_path))
    one = learner(rows=8, warmup=0.5, learning_rate=1.0)
    one.settings = regime
    taken = []
    while not one.done:
        taken.append(one.rate())
        one.step += 1
    assert rates[0::2] == rates[1::2] == taken
