"""Languages whose token the base lacks: it is trained with their adapters, and moves nothing else."""

from __future__ import annotations

import copy

import pytest
import torch

import tiny
from laws.test_fit import REGIME, pairs
from lingraft.atoms import AdapterName, ConfigError, Role
from lingraft.base import fingerprint
from lingraft.corpus import Pairs
from lingraft.delta import Routing
from lingraft.fit import Context, Full, Joint, Material, Modular, Silent, fit
from lingraft.fit.checkpoint import Checkpoints
from lingraft.fit.step import train_step

LIKE = {"fur_Latn": "ita_Latn", "scn_Latn": "ita_Latn"}
JOINT = Joint(rank=2, epochs=2, rows=8, tokens=400, precision="fp32", learning_rate=5e-3, temperature=1)


def base():
    return tiny.load("m2m_100").borrowing(LIKE)


def corpus(*languages: str, count: int = 24) -> tuple[list[Pairs], list[Pairs]]:
    return [pairs(x, count, 0) for x in languages], [pairs(x, 8, 1) for x in languages]


def own(base, role: Role) -> torch.Tensor:
    return base.model.get_submodule(base.embedding(role)).weight[base.token("ita_Latn")].detach()


@pytest.mark.parametrize("scope", ["span", "everywhere"])
def test_it_starts_as_its_relative_moves_and_is_kept_with_its_adapter(scope):
    model = base()
    before = fingerprint(model.model, exact=True)
    train, dev = corpus("fur_Latn", "deu_Latn")
    regime = REGIME.model_copy(update={"scope": scope})
    for learner in regime.learners(model, Material(train, dev)):
        if "fur" in learner.name:
            role = learner.task.name.role
            assert torch.equal(learner.token.token.row, own(model, role))
            assert set(learner.weights) == {"adapter", "token"}
    bank = fit(model, train, regime, dev=dev).bank
    for role in Role:
        token = bank[AdapterName("fur_Latn", role)].token
        assert token.relative == "ita_Latn"
        moved = (token.row - own(model, role)).abs()
        # Adam moves a value by about the rate a step, on the side where embeddings are scaled by √32.
        assert 1e-5 < moved.max() < 2 * 6 * 5e-3 / 32**0.5
        assert bank[AdapterName("deu_Latn", role)].token is None
    assert fingerprint(model.model, exact=True) == before


def test_law_7_adapters_with_tokens_trained_in_one_run_are_those_trained_alone():
    model = copy.copy(base())
    model.model = copy.deepcopy(model.model).double()
    train, dev = corpus("fur_Latn", "scn_Latn")
    together = fit(model, train, REGIME, dev=dev).bank
    for i, language in enumerate(LIKE):
        alone = fit(model, [train[i]], REGIME, dev=[dev[i]]).bank
        for role in Role:
            ours, theirs = (bank[AdapterName(language, role)].token.row for bank in (together, alone))
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_law_7_a_step_without_a_language_leaves_its_token_as_it_is_also_under_adam():
    model = base()
    train, dev = corpus("fur_Latn", "scn_Latn")
    (learner,) = JOINT.learners(model, Material(train, dev))
    furlan = [row for row in learner.data if "fur_Latn" in row.direction]
    with Routing(model) as routing:
        train_step(model, routing, [learner], Silent())
        values = {name: token.token.row.detach().clone() for name, token in learner.tokens.items()}
        assert set(values) == {AdapterName(language, role) for language in LIKE for role in Role}
        learner.rows = lambda: furlan[:4] + furlan[-4:]
        train_step(model, routing, [learner], Silent())
    for name, value in values.items():
        assert torch.equal(value, learner.tokens[name].token.row) == (name.language == "scn_Latn")


def test_the_joint_regime_keeps_the_tokens_of_the_best_epoch():
    model = base()
    train, dev = corpus("fur_Latn", "deu_Latn")
    run = fit(model, train, JOINT, dev=dev)
    for name, adapter in run.bank.items():
        assert (adapter.token is None) == (name.language != "fur_Latn")
    token = run.bank[AdapterName("fur_Latn", Role.TARGET)].token
    assert not torch.equal(token.row, own(model, Role.TARGET))


def test_a_checkpoint_holds_the_token_and_a_run_its_relative(tmp_path):
    train, dev = corpus("fur_Latn")
    learners = REGIME.learners(base(), Material(train, dev))
    with Routing(base()) as routing:
        train_step(base(), routing, learners, Silent())
    Checkpoints(tmp_path, "x").save(learners, 1)
    again = REGIME.learners(base(), Material(train, dev))
    assert Checkpoints(tmp_path, "x").restore(again) == 1
    for one, other in zip(learners, again, strict=True):
        assert torch.equal(one.token.token.row, other.token.token.row)
        assert one.identity() == other.identity()
    french = REGIME.learners(base().borrowing({"fur_Latn": "fra_Latn"}), Material(train, dev))
    assert all(one.identity() != other.identity() for one, other in zip(learners, french, strict=True))


def test_frozen_adapters_count_with_their_tokens():
    train, dev = corpus("fur_Latn")
    bank = fit(base(), train, REGIME.model_copy(update={"epochs": 1}), dev=dev).bank
    other = bank.with_(*(copy.copy(adapter) for adapter in bank.values()))
    assert Context(bank=bank).identity == Context(bank=other).identity
    for adapter in other.values():
        object.__setattr__(adapter, "token", adapter.token._replace(row=adapter.token.row + 1))
    assert Context(bank=bank).identity != Context(bank=other).identity


@pytest.mark.parametrize("regime", [Joint(shared=True, rank=2), Full()])
def test_regimes_without_adapters_of_their_own_refuse_borrowed_tokens(regime):
    train, dev = corpus("fur_Latn")
    with pytest.raises(ConfigError, match="fur_Latn borrow"):
        fit(base(), train, regime, dev=dev)
    train, dev = corpus("deu_Latn", count=9)  # others are not concerned
    assert regime.learners(regime.model_of(base()), Material(train, dev))


def test_nothing_is_learned_for_a_language_that_has_a_token():
    train, dev = corpus("deu_Latn")
    for regime in (REGIME, JOINT, Modular(rank=2, scope="everywhere")):
        plain = regime.learners(tiny.load("m2m_100"), Material(train, dev))
        there = regime.learners(base(), Material(train, dev))
        for one, other in zip(plain, there, strict=True):
            assert one.identity() == other.identity()
            assert list(one.weights) == list(other.weights)
