"""What an adapter may be trained with so that it merges better."""

from __future__ import annotations

import copy

import pytest
import torch

import banks
import tiny
from lingraft.atoms import AdapterName, ConfigError, Direction, Role
from lingraft.corpus import Pairs
from lingraft.delta import Bank, Routing
from lingraft.direction import Recipe
from lingraft.fit import Context, Material, Modular, Silent, fit
from lingraft.fit.apart import Halves
from lingraft.fit.modular import encode
from lingraft.fit.step import dev_loss, train_step

TEXT = Pairs("deu_Latn", "eng_Latn", tuple(f"hund {i}" for i in range(12)), tuple(f"dog {i}" for i in range(12)), "x")
REGIME = Modular(rank=2, epochs=2, rows=4, precision="fp32", tokens=400)
INTO = Direction("deu_Latn", "eng_Latn")


def learners(regime: Modular, context: Context | None = None, base=None):
    return regime.learners(base or tiny.load("llama"), Material([TEXT], [TEXT], context or Context()))


def test_layers_keep_input_adapters_low_and_output_adapters_high():
    base = tiny.load("llama", layers=3)
    regime = Modular.model_validate({"rank": 2, "layers": {"source_below": 2, "target_from": 1}})
    assert {site.layer for site in regime.sites_of(base, Role.SOURCE)} == {0, 1}
    assert {site.layer for site in regime.sites_of(base, Role.TARGET)} == {1, 2}
    nowhere = Modular.model_validate({"rank": 2, "layers": {"target_from": 3}})
    with pytest.raises(ConfigError, match=r"fit\.layers"):
        nowhere.sites_of(base, Role.TARGET)


def test_a_partner_acts_in_some_steps_with_another_weight_each_time_and_never_when_judged():
    base = tiny.load("llama")
    bank = banks.bank(base, ("deu_Latn", "eng_Latn", "epo_Latn", "fra_Latn"), scoped=True)
    one = learners(REGIME.model_copy(update={"partner": 0.5, "epochs": 20}), Context(Recipe(), bank))[0]
    theirs = {id(bank[AdapterName(code, Role.TARGET)].updates): code for code in ("epo_Latn", "fra_Latn")}
    own = learners(REGIME, Context(Recipe(), bank))[0].routes([INTO])[0]  # English's adapter is there in any case
    seen = []
    for _ in range(40):
        one.rows()
        (route,) = one.routes([INTO])
        assert [route] == one.routes([INTO])  # the same for all batches of a step
        for term in route[len(own) :]:
            weight = next(iter(term.weights.values()))
            assert 0 <= weight <= 1
            seen.append((theirs[id(term.updates)], weight))
        one.update({})
        assert len(one.routes([INTO])[0]) == len(own)
    assert 8 < len(seen) < 32
    assert {code for code, _ in seen} == {"epo_Latn", "fra_Latn"}
    assert len({weight for _, weight in seen}) == len(seen)


def test_a_partner_changes_the_loss_of_its_step_but_not_its_own_weights_or_the_dev_loss():
    base = tiny.load("llama")
    bank = banks.bank(base, ("fra_Latn",), scoped=True, size=1.0)
    before = [update.B.clone() for update in bank.updates().values()]
    losses, judged = [], []

    class Told(Silent):
        def step(self, learner, loss):
            losses.append(loss)

    for partner in (0.0, 1.0):
        found = learners(REGIME.model_copy(update={"partner": partner}), Context(Recipe(), bank))[:1]
        with Routing(base) as routing:
            judged.append(dev_loss(base, routing, found[0]))
            train_step(base, routing, found, Told())
    assert losses[0] != pytest.approx(losses[1], abs=1e-3)
    assert judged[0] == judged[1]
    assert all(torch.equal(a, update.B) for a, update in zip(before, bank.updates().values(), strict=True))


def test_without_another_language_there_is_no_partner():
    regime = REGIME.model_copy(update={"partner": 0.5})
    with pytest.raises(ConfigError, match=r"fit\.partner"):
        learners(regime)
    with pytest.raises(ConfigError, match=r"fit\.partner"):
        learners(regime, Context(Recipe(), banks.bank(tiny.load("llama"), ("deu_Latn", "eng_Latn"))))


def test_the_halves_of_the_roles_are_apart_whatever_the_language():
    base = tiny.load("llama")
    bank = banks.bank(base, ("deu_Latn", "fra_Latn"))
    ours = Halves(bank[AdapterName("deu_Latn", Role.SOURCE)].updates, Role.SOURCE)
    theirs = Halves(bank[AdapterName("fra_Latn", Role.TARGET)].updates, Role.TARGET)
    for (b, foreign), (_, other) in zip(ours._parts, theirs._parts, strict=True):
        assert torch.equal(foreign + other, torch.ones_like(foreign))
        assert abs(int(foreign.sum()) - b.shape[0] // 2) <= 1
    shares = [(foreign * b).double().square().sum() / b.double().square().sum() for b, foreign in ours._parts]
    assert float(ours.overlap()) == pytest.approx(float(torch.stack(shares).mean()), rel=1e-5)


def test_the_penalty_makes_what_the_roles_write_orthogonal():
    base = tiny.load("llama")
    shares = []
    for strength in (0.0, 100.0):
        regime = REGIME.model_copy(update={"orthogonal": strength, "epochs": 20, "learning_rate": 1e-2, "patience": 20})
        run = fit(base, [TEXT], regime, dev=[TEXT])
        bank: Bank = run.bank
        shares.append([float(Halves(bank[AdapterName("deu_Latn", role)].updates, role).overlap()) for role in Role])
    assert min(shares[0]) > 0.3  # nothing holds them apart
    assert max(shares[1]) < 0.05


def test_rebridging_draws_other_rows_in_each_epoch_and_forgets_none():
    base = copy.copy(tiny.load("llama"))
    base.languages = ("eng_Latn", "spa_Latn", "ita_Latn")
    one = learners(REGIME.model_copy(update={"bridge": 0.5, "rebridge": True}), base=base)[0]
    plain = encode(base, TEXT, Role.SOURCE)
    epochs = []
    for _ in range(2):
        seen = []
        for _ in range(one.steps_per_epoch):
            seen += one.rows()
            one.update({})
        assert len(seen) == len(plain)
        epochs.append({row.text.source: row.direction for row in seen})
    assert one.done
    assert [set(epoch) for epoch in epochs] == [{row.text.source for row in plain}] * 2
    assert epochs[0] != epochs[1]
    assert {where.target for epoch in epochs for where in epoch.values()} > {"eng_Latn"}
    with pytest.raises(ConfigError, match=r"fit\.bridge"):
        learners(REGIME.model_copy(update={"rebridge": True}), base=base)


def test_a_run_with_other_bridges_has_another_name():
    base = copy.copy(tiny.load("llama"))
    base.languages = ("eng_Latn", "spa_Latn", "ita_Latn")
    regime = REGIME.model_copy(update={"bridge": 0.5})
    once = learners(regime, base=base)[0].identity()
    assert once == learners(regime, base=base)[0].identity()
    again = learners(regime.model_copy(update={"rebridge": True}), base=base)[0]
    assert again.identity() != once
    before = again.identity()
    again.step = again.steps_per_epoch
    again.rows()
    assert again.identity() == before


@pytest.mark.parametrize("scope", ["span", "everywhere"])
def test_with_a_frozen_adapter_on_the_other_side_each_step_sees_what_the_last_one_learned(scope, monkeypatch):
    base = tiny.load("llama")
    context = Context(Recipe(), banks.bank(base, ("eng_Latn",), scoped=scope == "span", size=1.0))
    regime = REGIME.model_copy(update={"scope": scope})
    kept = fit(base, [TEXT], regime, dev=[TEXT], context=context).bank
    monkeypatch.setattr(Routing, "expect", lambda self, routes: None)  # nothing is kept from step to step
    anew = fit(base, [TEXT], regime, dev=[TEXT], context=context).bank
    for one, other in zip(kept.updates().values(), anew.updates().values(), strict=True):
        assert torch.equal(one.A, other.A)
        assert torch.equal(one.B, other.B)
