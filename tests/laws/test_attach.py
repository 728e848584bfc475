"""Laws 1–5 and 10: attaching, composing, routing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import banks
import tiny
from lingraft.atoms import AdapterName, ConfigError, Direction, Role, Scope
from lingraft.base import fingerprint
from lingraft.delta import Adapter, Bank, Routing, Update
from lingraft.direction import Recipe, attach, compose, merge, route

FAMILIES = ("llama", "m2m_100")
DIRECTION = Direction("deu_Latn", "fra_Latn")


def logits(base, routing=None, routes=(), texts=("ein Haus", "der Hund schläft jetzt")) -> torch.Tensor:
    """Logits of a forward pass with the given routes; rows are padded on the right."""
    rows = base.format.encode(DIRECTION, texts, texts)
    pad = lambda seqs: torch.tensor([list(s) + [base.format.pad] * (max(map(len, seqs)) - len(s)) for s in seqs])
    if base.family.kind == "decoder":
        ids = pad([r.source + r.target + r.answer for r in rows])
        span = torch.tensor([[i < len(r.source) for i in range(ids.shape[1])] for r in rows])
        inputs = {"input_ids": ids}
    else:
        span = None
        sources = [r.source for r in rows]
        mask = torch.tensor([[int(i < len(s)) for i in range(max(map(len, sources)))] for s in sources])
        inputs = {
            "input_ids": pad(sources),
            "attention_mask": mask,
            "decoder_input_ids": pad([r.target + r.answer for r in rows]),
        }
    if routing is not None:
        routing.set(routes, span)
    with torch.no_grad():
        return base.model(**inputs).logits


@pytest.fixture(params=FAMILIES)
def base(request):
    return tiny.load(request.param)


def test_law_1_a_zero_bank_is_the_base_bit_for_bit(base):
    zero = Bank(
        Adapter(a.language, a.role, a.scope, {s: Update(u.A, torch.zeros_like(u.B)) for s, u in a.updates.items()})
        for a in banks.bank(base).values()
    )
    with Routing(base) as routing:
        assert torch.equal(logits(base, routing, [(route(zero, Recipe(), DIRECTION), 2)]), logits(base))


def test_law_2_attach_and_detach_leave_no_trace(base):
    before, plain = fingerprint(base.model, exact=True), logits(base)
    with attach(base, compose(banks.bank(base), Recipe(), DIRECTION)) as translator:
        translator.translate(["ein Haus"])
        assert not torch.equal(logits(base), plain)
    assert torch.equal(logits(base), plain)
    assert fingerprint(base.model, exact=True) == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in base.model.modules())


@settings(max_examples=15, deadline=None)
@given(a=st.floats(-2, 2), b=st.floats(-2, 2), seed=st.integers(0, 1000))
def test_law_3_compose_is_exact_for_any_ranks_and_scales(a, b, seed):
    base = tiny.load("llama")
    bank = banks.bank(base, rank=None, seed=seed)
    composed = compose(bank, Recipe(a, b), DIRECTION).updates[Scope.EVERYWHERE]
    for site in base.sites:
        source = bank[AdapterName("deu_Latn", Role.SOURCE)].updates[site].delta()
        target = bank[AdapterName("fra_Latn", Role.TARGET)].updates[site].delta()
        torch.testing.assert_close(composed[site].delta(), a * source + b * target, rtol=1e-5, atol=1e-6)


def test_one_adapter_at_weight_1_is_itself():
    base = tiny.load("llama")
    bank = banks.bank(base, ("deu_Latn",))
    composed = compose(bank, Recipe(), Direction("deu_Latn", "eng_Latn")).updates[Scope.EVERYWHERE]
    for site, update in bank[AdapterName("deu_Latn", Role.SOURCE)].updates.items():
        assert torch.equal(composed[site].delta(), update.delta())


@pytest.mark.parametrize("rank", [3, None])
def test_law_4_routed_forward_is_the_forward_of_a_merged_copy(base, rank):
    import copy

    bank = banks.bank(base, rank=rank)
    recipe = Recipe(0.7, 1.3)
    composition = compose(bank, recipe, DIRECTION)
    merged = copy.copy(base)
    merged.model = copy.deepcopy(base.model)
    for site, update in composition.updates[Scope.EVERYWHERE].items():
        merged.module(site).weight.data += update.delta().float()
    wanted = logits(merged)
    with Routing(base) as routing:
        for routes in (route(bank, recipe, DIRECTION), composition.route()):
            torch.testing.assert_close(logits(base, routing, [(routes, 2)]), wanted, rtol=1e-4, atol=1e-4)


def test_a_composition_can_be_composed_again(base):
    composed = compose(banks.bank(base), Recipe(), DIRECTION)
    again = merge(DIRECTION, [*composed.route(), *composed.route()])
    for site, update in again.updates[Scope.EVERYWHERE].items():
        torch.testing.assert_close(update.delta(), 2 * composed.updates[Scope.EVERYWHERE][site].delta())


def test_law_5_every_site_is_mixed_exactly_once(base):
    mixes = Recipe(0.5, 2.0, {("decoder", 1): (0.0, 1.0)}).resolve(base.sites)
    assert list(mixes) == list(base.sites)
    for site, mix in mixes.items():
        on = site.stack == "decoder" and site.layer == 1
        assert mix == ({Role.SOURCE: 0.0, Role.TARGET: 1.0} if on else {Role.SOURCE: 0.5, Role.TARGET: 2.0})
    with pytest.raises(ConfigError, match="99"):
        Recipe(layers={("decoder", 99): (1, 1)}).resolve(base.sites)


def test_scoped_adapters_act_on_their_span_alone():
    base = tiny.load("llama")
    bank = banks.bank(base, scoped=True)
    row = base.format.encode(DIRECTION, ["ein Haus"], ["une maison"])[0]
    first_of_target = len(row.source)
    plain = logits(base, texts=("ein Haus",))
    with Routing(base) as routing:
        target_only = logits(base, routing, [(route(bank, Recipe(0, 1), DIRECTION), 1)], ("ein Haus",))
        source_only = logits(base, routing, [(route(bank, Recipe(1, 0), DIRECTION), 1)], ("ein Haus",))
    assert torch.equal(target_only[:, :first_of_target], plain[:, :first_of_target])
    assert not torch.allclose(target_only[:, first_of_target:], plain[:, first_of_target:])
    assert not torch.allclose(source_only[:, :first_of_target], plain[:, :first_of_target])


@pytest.mark.parametrize("kernel", ["segments", "grouped"])
@pytest.mark.parametrize("scoped", [False, True])
@pytest.mark.parametrize("beam", [1, 3])
def test_law_10_a_mixed_batch_is_the_loop_over_its_directions(base, kernel, scoped, beam):
    bank = banks.bank(base, scoped=scoped, rank=None)
    pairs = [Direction(a, b) for a in banks.LANGUAGES[:3] for b in (*banks.LANGUAGES[:3], "eng_Latn") if a != b]
    texts = [f"wort {i} " * (1 + i % 4) for i in range(len(pairs))]
    routes = lambda where: route(bank, Recipe(), where)
    with attach(base, routes) as alone:
        single = [alone.translate([t], d, beam=beam, max_tokens=8)[0] for t, d in zip(texts, pairs, strict=True)]
    with attach(base, routes, kernel=kernel) as together:
        mixed = together.translate(texts, pairs, beam=beam, max_tokens=8)
    assert mixed == single
    assert len(set(mixed)) > 1
