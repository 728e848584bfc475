"""Several processes train what one would: the same adapters, one writer, one stop, and a base in shards."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import traceback

import pytest
import torch

import tiny
from laws.test_fit import corpus
from library.test_joint_library import write
from lingraft.atoms import ENGLISH, ConfigError, LibraryError, LingraftError, TrainingError
from lingraft.base import Base, fingerprint
from lingraft.corpus import Pairs
from lingraft.fit import Full, Joint, Modular, Silent, fit
from lingraft.fit.parallel import Team, local_device, team
from lingraft.fit.parallel_base import shard
from lingraft.library import Library
from lingraft.library.grow import grow
from lingraft.library.joint import grow_joint, plan_joint
from lingraft.library.plan import plan

forks = pytest.mark.skipif(
    sys.platform != "linux", reason="the processes of these tests are forked, which is for Linux"
)
MODULAR = Modular(rank=2, epochs=1, rows=8, precision="fp32", tokens=400, learning_rate=5e-3, checkpoint=2)
JOINT = Joint(rank=2, epochs=1, rows=12, precision="fp32", tokens=300, learning_rate=5e-3, dropout=False, checkpoint=2)
FULL = Full(epochs=1, rows=12, precision="fp32", tokens=300, dropout=False)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def together(work, size: int = 2):
    """Run ``work`` in as many forked processes that make a team; return what each returned, or its error."""
    port = free_port()
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(size)]

    def process(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        code = 1
        try:
            pipes[rank][1].send(pickle.dumps(work()))
            code = 0
        except LingraftError as error:
            pipes[rank][1].send(pickle.dumps(error))
        except BaseException:
            traceback.print_exc()
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            os._exit(code)  # what pytest would do at its end is not the child's to do

    children = [context.Process(target=process, args=(rank,)) for rank in range(size)]
    for child in children:
        child.start()
    for _, writer in pipes:
        writer.close()  # the child's own end alone is left: if it dies, reading ends
    found = []
    try:
        for reader, child in zip((reader for reader, _ in pipes), children, strict=True):
            assert reader.poll(30), "a process did not answer"
            found.append(pickle.loads(reader.recv()))
            child.join(10)
    finally:
        for child in children:
            child.kill()
    return found


def base(family: str = "llama") -> Base:
    """A tiny base in float64, where the order of sums stays below what Adam can magnify."""
    found = copy.copy(tiny.load(family))
    found.model = copy.deepcopy(found.model).double()
    return found


def tensors(run) -> dict[str, torch.Tensor]:
    return {
        f"{learner.name}/{key}": w.values.detach() for learner in run.learners for key, w in learner.weights.items()
    }


def between(count: int = 12) -> tuple[list[Pairs], list[Pairs]]:
    return corpus("deu_Latn", "fra_Latn", count=count)


def close(ours, theirs) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-4, atol=1e-5)


@forks
@pytest.mark.parametrize(
    ("family", "regime"), [("llama", MODULAR), ("m2m_100", MODULAR), ("llama", JOINT), ("llama", FULL)]
)
def test_two_processes_train_what_one_does(family, regime):
    train, dev = between()
    model = base(family)
    one = fit(model, train, regime, dev=dev)
    others = together(lambda: (tensors(run := fit(model, train, regime, dev=dev)), [x.best_loss for x in run.learners]))
    for found, losses in others:
        close(found, tensors(one))
        assert losses == pytest.approx([learner.best_loss for learner in one.learners], rel=1e-5)
    assert all(torch.equal(value, others[1][0][key]) for key, value in others[0][0].items())


@forks
@pytest.mark.parametrize(
    ("family", "regime"),
    [
        ("llama", MODULAR),
        pytest.param("llama", MODULAR.model_copy(update={"bridge": 0.1}), marks=pytest.mark.soak),
        ("m2m_100", MODULAR.model_copy(update={"recompute": True})),
        ("gemma3", JOINT),
    ],
)
def test_a_base_in_shards_trains_the_same_and_stays_itself(family, regime):
    train, dev = between()
    model = base(family)
    before, exact = model.fingerprint, fingerprint(model.model, exact=True)
    one = fit(model, train, regime, dev=dev)

    def work():
        run = fit(model, train, regime.model_copy(update={"shard": True}), dev=dev)
        layers = [layer for stack in model.family.stacks.values() for layer in model.model.get_submodule(stack.layers)]
        here = sum(p.to_local().numel() for layer in layers for p in layer.parameters())
        share = here / sum(p.numel() for layer in layers for p in layer.parameters())
        assert run.base.fingerprint == before
        whole = copy.deepcopy(tiny.load(family).model).double()
        named = model.model.state_dict()
        whole.load_state_dict({k: v.full_tensor() if hasattr(v, "full_tensor") else v for k, v in named.items()})
        return tensors(run), share, fingerprint(whole, exact=True)

    for found, share, after in together(work):
        close(found, tensors(one))
        assert 0.4 < share < 0.6
        assert after == exact


@forks
def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    train, dev = between(24)
    model = base()
    settings = MODULAR.model_copy(update={"epochs": 2})
    whole = fit(model, train, settings, dev=dev)

    class Stopping(Modular):
        """One whose second process is asked to stop in the fourth step."""

        def learners(self, base, material):
            found = super().learners(base, material)
            update = found[0].update

            def stopped(tokens):
                if found[0].step == 3 and team().rank == 1:
                    os.kill(os.getpid(), signal.SIGTERM)
                update(tokens)

            found[0].update = stopped
            return found

    Stopping.__name__ = "Modular"  # the run's name is a hash of it too
    regime = Stopping(**settings.model_dump())

    def work():
        return fit(model, train, regime, dev=dev, work=tmp_path)

    for error in together(work):
        assert isinstance(error, TrainingError)
        assert "stopped by SIGTERM after 16 of 24 steps" in str(error)  # of four learners
    (state,) = tmp_path.glob("*/step-*/state.json")
    assert json.loads(state.read_text())["step"] == 4
    three = together(lambda: tensors(fit(model, train, settings, dev=dev, work=tmp_path)), size=3)
    close(three[2], tensors(whole))


class Counting(Silent):
    """Counts the steps that it is told."""

    steps = 0

    def step(self, learner, loss):
        self.steps += 1


@forks
@pytest.mark.parametrize("joint", [False, True])
def test_one_process_writes_the_library(tmp_path, joint):
    model, path = tiny.load("llama"), tmp_path / "library"
    text = write(tmp_path, "deu_Latn", ENGLISH)
    if joint:
        wanted = plan_joint(model, ["deu_Latn", ENGLISH], text, None, JOINT.model_copy(update={"tokens": 2000}))
    else:
        wanted = plan(model, ["deu_Latn"], text, regime=MODULAR)

    def work():
        told = Counting()
        pointers = (grow_joint if joint else grow)(model, path, wanted, reporter=told)
        return sorted(pointers), told.steps, Library.open(path, model).languages()

    lead, other = together(work)
    languages = tuple(sorted(["deu_Latn", ENGLISH])) if joint else ("deu_Latn",)
    assert lead[0] == sorted(languages)
    assert lead[1] > 0
    assert other[:2] == ([], 0)
    assert lead[2] == other[2] == languages
    assert list((path / ".runs").iterdir()) == []


@forks
def test_what_fails_in_one_process_fails_in_all_with_the_same_words(monkeypatch):
    def led():
        def broken():
            raise LibraryError("the disk is full.")

        team().led(broken)

    def versions():
        if os.environ["RANK"] == "1":
            monkeypatch.setattr("lingraft.__version__", "0.0.0")
        team()

    def rows():
        train, dev = between()
        fit(base(), train[: 1 + team().rank], MODULAR, dev=dev)

    for work, words in (
        (led, "the disk is full"),
        (versions, r"software must be the same in all 2 processes.*0\.0\.0.* in process 1.*Install"),
        (rows, "the run must be the same"),
    ):
        errors = together(work)
        assert len({str(error) for error in errors}) == 1
        with pytest.raises(LingraftError, match=words):
            raise errors[1]


def test_an_environment_that_says_half_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="`RANK` must be set, since WORLD_SIZE says that there are 2"):
        team()
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match="`WORLD_SIZE` must be the number"):
        team()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert team() == Team()


def test_shards_need_several_processes_and_a_frozen_base():
    with pytest.raises(ConfigError, match="must be false for a single process"):
        shard(tiny.load("llama"), Team())
    with pytest.raises(ConfigError, match="must be false where the base itself is trained"):
        shard(tiny.load("llama"), Team(0, 2), frozen=False)


def test_rows_are_dealt_out_once_each():
    rows = list("aabbbc")
    parts = [Team(rank, 4).share(rows) for rank in range(4)]
    assert sorted(row for part, _ in parts for row in part) == rows
    assert all(counts and part == sorted(part) for part, counts in parts)
    assert Team(2, 4).share(["a", "b"]) == (["a"], False)
    assert Team().share(rows) == (rows, True)
    assert local_device().startswith("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.soak
@pytest.mark.parametrize(
    "launcher",
    [
        ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "lingraft"),
        (
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_processes=2",
            "--main_process_port={port}",
            "-m",
            "lingraft",
        ),
    ],
)
def test_the_command_line_under_a_launcher_stops_and_goes_on(tmp_path, launcher):
    launcher = [word.format(port=free_port()) for word in launcher]
    folder = tiny.base("llama", tmp_path)
    words = ["add", "deu_Latn", "--pairs", write(tmp_path, "deu_Latn", ENGLISH, count=400), "--base", str(folder)]
    words += ["--library", str(tmp_path / "library"), "--device", "cpu", "fit.rank=2", "fit.rows=8", "fit.epochs=3"]
    with subprocess.Popen(
        [sys.executable, "-m", *launcher, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        for _ in range(600):
            time.sleep(0.1)
            notes = [json.loads(path.read_text()) for path in tmp_path.glob("library/.runs/progress-*.json")]
            if first.poll() is not None or any(note["step"] > 4 for note in notes):
                break
        first.send_signal(signal.SIGTERM)
        _, told = first.communicate(timeout=60)
    assert first.returncode != 0
    assert "The run is kept; run the same command to go on." in told
    alone = subprocess.run([sys.executable, "-m", "lingraft", *words], capture_output=True, text=True, check=True)
    assert "going on after" in alone.stderr
    assert alone.stdout.count("added German") == 1
    words[words.index("--library") + 1] = str(tmp_path / "another")
    two = subprocess.run([sys.executable, "-m", *launcher, *words], capture_output=True, text=True, check=True)
    assert two.stdout.count("added German") == 1
    assert Library.open(tmp_path / "another").languages() == ("deu_Latn",)
