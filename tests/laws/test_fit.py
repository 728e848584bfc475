"""Laws 2, 6, 7 and 12: training on a frozen base, each adapter as if alone, resumed bit for bit."""

from __future__ import annotations

import copy
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tiny
from lingraft.atoms import AdapterName, Direction, Role, TrainingError
from lingraft.base import fingerprint
from lingraft.corpus import Pairs
from lingraft.delta import Routing
from lingraft.direction import Recipe, attach, route
from lingraft.fit import Material, Modular, Silent, fit
from lingraft.fit.step import train_step

WORDS = {"house": "domo", "dog": "hundo", "water": "akvo", "red": "ruga", "big": "granda", "sees": "vidas"}
REGIME = Modular(rank=4, epochs=2, rows=8, precision="fp32", tokens=400, learning_rate=5e-3, checkpoint=3)


def pairs(language: str, count: int, seed: int) -> Pairs:
    """Word-for-word sentences; each language spells the words in its own way."""
    rng = random.Random(f"{language}{seed}")
    english = [" ".join(rng.choices(list(WORDS), k=rng.randint(1, 4))) for _ in range(count)]
    foreign = [" ".join(WORDS[w] + language[0] for w in line.split()) for line in english]
    a, b = sorted((language, "eng_Latn"))
    left, right = (foreign, english) if a == language else (english, foreign)
    return Pairs(a, b, tuple(left), tuple(right), "made up")


def corpus(*languages: str, count: int = 40) -> tuple[list[Pairs], list[Pairs]]:
    return [pairs(x, count, 0) for x in languages], [pairs(x, 8, 1) for x in languages]


def weights(run, language: str, role: Role) -> dict[str, torch.Tensor]:
    updates = run.bank[AdapterName(language, role)].updates
    return {f"{site}/{part}": getattr(update, part) for site, update in updates.items() for part in "AB"}


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
@pytest.mark.parametrize("scope", ["span", "everywhere"])
def test_law_7_adapters_trained_in_one_run_are_those_trained_alone(family, scope):
    # In float64, so that the order of sums, which the packing changes, stays below what Adam can magnify.
    base = copy.copy(tiny.load(family))
    base.model = copy.deepcopy(base.model).double()
    before = fingerprint(base.model, exact=True)
    regime = REGIME.model_copy(update={"scope": scope})
    train, dev = corpus("deu_Latn", "fra_Latn")
    train[1] = pairs("fra_Latn", 25, 0)  # another length: the epochs end at other steps
    together = fit(base, train, regime, dev=dev)
    for i, language in enumerate(("deu_Latn", "fra_Latn")):
        alone = fit(base, [train[i]], regime, dev=[dev[i]])
        for role in Role:
            ours, theirs = weights(together, language, role), weights(alone, language, role)
            assert ours.keys() == theirs.keys()
            for key, value in ours.items():
                torch.testing.assert_close(value, theirs[key], rtol=1e-4, atol=1e-5)
    assert fingerprint(base.model, exact=True) == before


def test_law_7_a_step_moves_no_adapter_that_has_no_row_in_it():
    base = tiny.load("llama")
    train, dev = corpus("deu_Latn", "fra_Latn")
    learners = REGIME.learners(base, Material(train, dev))
    with Routing(base) as routing:
        for _ in range(2):
            train_step(base, routing, learners, Silent())
        frozen = [p.detach().clone() for learner in learners[1:] for p in learner.weights["adapter"].parts]
        mine = [p.detach().clone() for p in learners[0].weights["adapter"].parts]
        for _ in range(2):
            train_step(base, routing, learners[:1], Silent())
    assert all(map(torch.equal, frozen, [p for learner in learners[1:] for p in learner.weights["adapter"].parts]))
    assert not any(map(torch.equal, mine, learners[0].weights["adapter"].parts))


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
@pytest.mark.parametrize("scope", ["span", "everywhere"])
def test_law_6_what_is_trained_is_exactly_the_bank(family, scope):
    base = tiny.load(family)
    regime = REGIME.model_copy(update={"scope": scope, "sites": ("q", "v")})
    train, dev = corpus("deu_Latn")
    learners = regime.learners(base, Material(train, dev))
    keys = {(learner.name, site) for learner in learners for site in learner.updates}
    stacks = {"llama": {"decoder"}, "m2m_100": {"encoder", "decoder"}}[family]
    expected = {
        (f"deu_Latn.{role.value}", site)
        for role in Role
        for site in base.sites
        if site.name in ("q", "v")
        # what the last layer makes of the source span is read by nobody, except its keys and values
        and not (family == "llama" and scope == "span" and role is Role.SOURCE and site[1:] == (1, "q"))
        and (
            scope == "everywhere" or len(stacks) == 1 or site.stack == {"source": "encoder", "target": "decoder"}[role]
        )
    }
    assert keys == expected
    trainable = [p for learner in learners for p in learner.weights["adapter"].parts]
    assert all(p.requires_grad for p in trainable)
    assert len({id(p) for p in trainable}) == 2 * len(expected)
    assert not any(p.requires_grad for p in base.model.parameters())


def test_it_learns_a_toy_language_and_writes_it():
    """On a random frozen base, the output adapter alone brings forth the words of the new language."""
    base = tiny.load("llama")
    train, dev = corpus("epo_Latn", count=150)
    run = fit(base, train, REGIME.model_copy(update={"epochs": 10, "rank": 8, "learning_rate": 2e-2}), dev=dev)
    english = list(dev[0].left)
    direction = Direction("eng_Latn", "epo_Latn")
    words = {word + "e" for word in WORDS.values()}

    def share(texts: list[str]) -> float:
        found = [word in words for text in texts for word in text.split()]
        return sum(found) / max(1, len(found))

    with attach(base) as plain:
        assert share(plain.translate(english, direction, max_tokens=30)) < 0.1
    with attach(base, lambda where: route(run.bank, Recipe(), where)) as translator:
        assert share(translator.translate(english, direction, max_tokens=30)) > 0.6


def test_a_loss_that_is_not_finite_stops_the_run():
    base = tiny.load("llama")
    train, dev = corpus("deu_Latn")
    with pytest.raises(TrainingError, match=r"deu_Latn\.source.*step"):
        fit(base, train, REGIME.model_copy(update={"learning_rate": 1e30, "warmup": 0.0, "epochs": 20}), dev=dev)


def test_a_finite_loss_with_a_gradient_that_is_not_does_not_spoil_the_checkpoint(tmp_path):
    base = tiny.load("llama")
    train, dev = corpus("deu_Latn")
    regime = REGIME.model_copy(update={"checkpoint": 1})
    spoilt = []

    class Spoil(Silent):
        def step(self, learner, loss) -> None:
            if learner.step == 3 and not spoilt:
                with torch.no_grad():
                    learner.weights["adapter"].values[0] = torch.nan
                spoilt.append(learner.name)

    with pytest.raises(TrainingError, match=r"deu_Latn\.source must be finite, but are not after step 3"):
        fit(base, train, regime, dev=dev, work=tmp_path, reporter=Spoil())
    again = fit(base, train, regime, dev=dev, work=tmp_path)
    whole = fit(base, train, regime, dev=dev)
    for role in Role:
        ours, theirs = (weights(run, "deu_Latn", role) for run in (again, whole))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


class Cut(Silent):
    """Stops a run after so many steps of its learners, as a signal would."""

    def __init__(self, after: int) -> None:
        self.left = after

    def step(self, learner, loss) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("state.json", lambda data: data[:40]),
        ("state.json", lambda data: b"{}"),
        ("state.json", None),
        ("state.safetensors", lambda data: data[:100]),
        ("state.safetensors", None),
    ],
)
def test_a_damaged_checkpoint_is_named_and_so_is_the_way_on(tmp_path, name, change):
    base = tiny.load("llama")
    train, dev = corpus("deu_Latn")
    with pytest.raises(KeyboardInterrupt):
        fit(base, train, REGIME, dev=dev, work=tmp_path, reporter=Cut(9))
    (file,) = tmp_path.glob(f"*/step-*/{name}")
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    with pytest.raises(TrainingError, match=f"checkpoint .*{file.parent.name} must be as it was written") as caught:
        fit(base, train, REGIME, dev=dev, work=tmp_path)
    assert "Remove that folder" in str(caught.value)
    shutil.rmtree(file.parent)
    assert fit(base, train, REGIME, dev=dev, work=tmp_path).trained


def test_the_same_training_is_not_run_twice_at_a_time(tmp_path):
    base = tiny.load("llama")
    train, dev = corpus("deu_Latn")
    refused = []

    class Beside(Silent):
        def start(self, total, done) -> None:
            with pytest.raises(TrainingError, match="another is at it") as caught:
                fit(base, train, REGIME, dev=dev, work=tmp_path)
            refused.append(caught.value)

    fit(base, train, REGIME, dev=dev, work=tmp_path, reporter=Beside())
    assert len(refused) == 1
    assert fit(base, train, REGIME, dev=dev, work=tmp_path).trained  # once it is over, what came of it is there


RESUME = """
import sys, os, signal
from pathlib import Path
sys.path.insert(0, {tests!r})
import tiny, torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from laws.test_fit import corpus, weights, REGIME
from lingraft.fit import Silent, fit
from lingraft.atoms import Role
class Killer(Silent):
    left = int(sys.argv[1])
    def step(self, learner, loss):
        Killer.left -= 1
        if Killer.left == 0:
            os.kill(os.getpid(), getattr(signal, sys.argv[3]))
train, dev = corpus("deu_Latn", "fra_Latn")
regime = REGIME.model_copy(update={{"precision": "bf16"}})
run = fit(tiny.load("llama"), train, regime, dev=dev, work=Path(sys.argv[2]), reporter=Killer())
names = [(language, role) for language in ("deu_Latn", "fra_Latn") for role in Role]
save_file({{f"{{x}}{{r}}{{k}}": v for x, r in names for k, v in weights(run, x, r).items()}}, sys.argv[2] + "/result")
"""


@pytest.mark.parametrize(("after", "name"), [(9, "SIGKILL"), (22, "SIGTERM")])
def test_law_12_a_killed_run_goes_on_bit_for_bit(tmp_path, after, name):
    script = RESUME.format(tests=str(Path(__file__).parents[1]))

    def go(folder: str, kill: int) -> int:
        (tmp_path / folder).mkdir(exist_ok=True)
        command = [sys.executable, "-c", script, str(kill), str(tmp_path / folder), name]
        return subprocess.run(command, capture_output=True).returncode

    assert go("whole", 0) == 0
    assert go("killed", after) != 0
    assert not (tmp_path / "killed" / "result").exists()
    assert go("killed", 0) == 0
    assert (tmp_path / "killed" / "result").read_bytes() == (tmp_path / "whole" / "result").read_bytes()
