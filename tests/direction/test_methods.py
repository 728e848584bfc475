"""Methods of merging, each against PEFT's own functions, its paper's formula entry by entry, or a law."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from peft.utils import merge_utils
from torch import Tensor, nn

import banks
import tiny
from lingraft.atoms import AdapterName, ConfigError, Direction, Role, Scope, Site
from lingraft.delta import Adapter, Bank, Routing, Update, weighted_sum
from lingraft.direction import Recipe, compose
from lingraft.direction.combine import ties
from lingraft.direction.methods import METHODS, Setting, compose_with, merge_site

SITE = Site("decoder", 0, "q")
DIRECTION = Direction("deu_Latn", "fra_Latn")
ALL = list(METHODS)
EVERYTHING = Setting(density=1.0, rank=10**6)  # a method told this has nothing to drop


def random(seed: int, rank: int = 4, out: int = 12, inn: int = 10, scale: float = 1.5) -> Update:
    generator = torch.Generator().manual_seed(seed)
    return Update(torch.randn(rank, inn, generator=generator), torch.randn(out, rank, generator=generator), scale)


def pair(seed: int = 0, **options) -> list[tuple[float, Update]]:
    return [(0.7, random(2 * seed, **options)), (1.3, random(2 * seed + 1, **options))]


def deltas(terms) -> list[Tensor]:
    return [weight * update.delta() for weight, update in terms]


def exact(terms) -> Tensor:
    return torch.stack(deltas(terms)).sum(0)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def error(found: Update, terms) -> float:
    return float((found.delta() - exact(terms)).norm() / exact(terms).norm())


def test_linear_is_the_exact_sum_for_any_ranks_and_scales():
    terms = [(0.7, random(0, 2, scale=0.5)), (-1.3, random(1, 5)), (0.2, random(2, 1))]
    close(merge_site("linear", terms, SITE).update.delta(), exact(terms))


@pytest.mark.parametrize("density", [0.25, 0.5, 0.9])
def test_ties_and_magnitude_are_pefts_on_delta_w(density):
    terms, ones = pair(), torch.ones(2, dtype=torch.float64)
    wanted = merge_utils.ties(deltas(terms), ones, density)
    close(merge_site("ties", terms, SITE, Setting(density)).update.delta(), wanted)
    wanted = merge_utils.magnitude_prune(deltas(terms), ones, density)
    close(merge_site("magnitude", terms, SITE, Setting(density)).update.delta(), wanted)


def test_ties_entry_by_entry():
    first = torch.tensor([[4.0, -1.0, 3.0], [-2.0, 0.5, 1.0]], dtype=torch.float64)
    second = torch.tensor([[2.0, 3.0, -3.0], [-4.0, 0.1, -5.0]], dtype=torch.float64)
    # Kept of the first: 4 3 -2 (density ½ of 6 entries); of the second: -4 -5, and 3 or -3, of which the later stays.
    wanted = torch.tensor([[4.0, 0.0, 0.0], [-3.0, 0.0, -5.0]], dtype=torch.float64)
    assert torch.equal(ties([first, second], 0.5, torch.Generator()), wanted)


def test_dare_drops_at_random_and_has_the_sum_as_its_mean():
    terms = pair()
    once = merge_site("dare", terms, SITE, Setting(0.5, seed=3)).update.delta()
    assert torch.equal(once, merge_site("dare", terms, SITE, Setting(0.5, seed=3)).update.delta())
    assert not torch.allclose(once, merge_site("dare", terms, SITE, Setting(0.5, seed=4)).update.delta())
    assert not torch.allclose(once, merge_site("dare", terms, SITE._replace(layer=1), Setting(0.5, seed=3))[0].delta())
    first, second = deltas(terms)
    possible = torch.stack([torch.zeros_like(first), 2 * first, 2 * second, 2 * (first + second)])
    assert (possible - once).abs().amin(0).max() < 1e-4
    found = [merge_site("dare", terms, SITE, Setting(0.5, seed=seed)).update.delta() for seed in range(200)]
    spread = torch.stack(found).std(0) / 200**0.5
    assert ((torch.stack(found).mean(0) - exact(terms)).abs() < 5 * spread + 1e-9).all()


@pytest.mark.filterwarnings("ignore:The density")
@pytest.mark.parametrize("density", [0.5, 1.0])
def test_knots_is_the_papers_formula_on_dense_matrices(density):
    """The reference is the plain one: an SVD of the dense [ΔW₁ ΔW₂], and PEFT's TIES on the parts of Σ · Vᵀ.

    A component's sign is arbitrary, and TIES does not care, since it treats each of its rows by itself.
    """
    terms = [(0.7, random(0, 2)), (-1.3, random(1, 4))]
    u, s, v = torch.linalg.svd(torch.cat(deltas(terms), dim=1), full_matrices=False)
    parts = list((s[:6, None] * v[:6]).chunk(2, dim=1))
    wanted = u[:, :6] @ merge_utils.ties(parts, torch.ones(2, dtype=torch.float64), density)
    found = merge_site("knots", terms, SITE, Setting(density))
    close(found.update.delta(), wanted)
    assert found.update.rank <= 6
    assert found.lost == 0


def test_svd_is_the_closest_update_of_its_rank():
    terms = [(0.7, random(0, 2)), (1.3, random(1, 4))]
    values = torch.linalg.svdvals(exact(terms))
    for rank in (1, 3, 5, 6, 50):
        update, lost = merge_site("svd", terms, SITE, Setting(rank=rank))
        assert update.rank == min(rank, 6)
        rest = float(values[rank:].square().sum())
        assert float((update.delta() - exact(terms)).square().sum()) == pytest.approx(rest, rel=1e-4, abs=1e-8)
        assert lost == pytest.approx(rest / float(values.square().sum()), abs=1e-10)
    assert merge_site("svd", terms, SITE).update.rank == 4  # the larger one of the terms' ranks


@pytest.mark.parametrize("name", ["ties", "magnitude", "dare", "knots"])
def test_a_smaller_rank_loses_what_it_says(name):
    full, none = merge_site(name, pair(), SITE)
    part, lost = merge_site(name, pair(), SITE, Setting(rank=2))
    assert none == 0
    assert part.rank == 2
    whole = float(full.delta().square().sum())
    assert 0 < lost == pytest.approx(float((part.delta() - full.delta()).square().sum()) / whole, rel=1e-4)


def test_peft_linear_is_pefts():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q = nn.Linear(10, 12, bias=False)

    terms = pair()
    model = get_peft_model(Model(), LoraConfig(r=4, lora_alpha=6, target_modules=["q"]), "first")
    model.add_adapter("second", LoraConfig(r=4, lora_alpha=6, target_modules=["q"]))
    layer = model.base_model.model.q
    for name, (_, update) in zip(("first", "second"), terms, strict=True):
        layer.lora_A[name].weight.data, layer.lora_B[name].weight.data = update.A, update.B
    for weights in ((0.7, 1.3), (1.0, 1.0), (-0.5, 1.0)):
        model.add_weighted_adapter(["first", "second"], list(weights), "mixed", combination_type="linear")
        found = merge_site("peft-linear", [(w, u) for w, (_, u) in zip(weights, terms, strict=True)], SITE)
        close(found.update.delta(), layer.get_delta_weight("mixed").detach().double())
        model.delete_adapter("mixed")


def test_peft_linear_errs_by_the_size_of_the_sum_itself():
    """70–105 % was measured with PEFT itself on random adapters; the sum's own size is what its cross terms have."""
    for seed in range(10):
        terms = [(1.0, random(2 * seed, 8, 64, 64)), (1.0, random(2 * seed + 1, 8, 64, 64))]
        assert 0.7 < error(merge_site("peft-linear", terms, SITE).update, terms) < 1.05
        assert error(merge_site("linear", terms, SITE).update, terms) < 1e-6
    with pytest.raises(ConfigError, match="one rank"):
        merge_site("peft-linear", [(1.0, random(0, 2)), (1.0, random(1, 3))], SITE)


@pytest.mark.parametrize("name", ALL)
def test_one_update_at_weight_1_is_itself(name):
    update = random(0)
    for terms in ([(1.0, update)], [(1.0, update), (0.0, random(1))], [(0.0, random(1, 2)), (1.0, update)]):
        found = merge_site(name, terms, SITE, EVERYTHING if METHODS[name].compresses else None).update
        if METHODS[name].compresses:
            close(found.delta(), update.delta())
        else:
            assert found is update


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_merged_to_nothing(name):
    zero = Update(torch.ones(2, 10), torch.zeros(12, 2))
    for terms in ([(0.0, random(0)), (0.0, random(1))], [(1.0, zero), (2.0, zero)]):
        assert torch.equal(merge_site(name, terms, SITE).update.delta(), torch.zeros(12, 10, dtype=torch.float64))


@pytest.mark.parametrize("name", [name for name in ALL if name != "peft-linear"])
@given(seed=st.integers(0, 99), factor=st.sampled_from([-2.0, 0.5, 3.0]))
@settings(max_examples=5)
def test_only_the_products_count(name, seed, factor):
    """Weight, scale, A and B may be split in any way, and a common factor comes out again."""
    terms = pair(seed)
    plain = merge_site(name, terms, SITE).update.delta()
    moved = [(factor * w, Update(u.A / 2, 2 * u.B, u.scale / factor)) for w, u in terms]
    close(merge_site(name, moved, SITE).update.delta(), plain)
    scaled = merge_site(name, [(factor * w, u) for w, u in terms], SITE).update.delta()
    torch.testing.assert_close(scaled, factor * plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["svd", "magnitude", "dare"])
def test_what_drops_nothing_is_the_sum(name):
    close(merge_site(name, pair(), SITE, EVERYTHING).update.delta(), exact(pair()))


@pytest.mark.parametrize("name", ALL)
def test_law_4_what_is_merged_can_be_routed_and_written_into_a_copy(name):
    base = tiny.load("llama")
    composition = compose_with(banks.bank(base), Recipe(0.7, 1.3), DIRECTION, name, Setting(density=0.5))
    merged = copy.copy(base)
    merged.model = copy.deepcopy(base.model)
    for site, update in composition.updates[Scope.EVERYWHERE].items():
        merged.module(site).weight.data += update.delta().float()
    ids = torch.tensor([base.format.encode(DIRECTION, ["ein Haus"], ["une maison"])[0].source])
    with Routing(base) as routing, torch.no_grad():
        routing.set([(composition.route(), 1)], torch.ones_like(ids, dtype=torch.bool))
        found = base.model(input_ids=ids).logits
    with torch.no_grad():
        torch.testing.assert_close(found, merged.model(input_ids=ids).logits, rtol=1e-3, atol=1e-3)


def test_laws_3_and_5_every_site_is_merged_once_with_its_own_weights():
    base = tiny.load("m2m_100")
    bank, recipe = banks.bank(base, rank=None), Recipe(0.5, 2.0, {("decoder", 1): (0.0, 1.0)})
    composed, linear = compose(bank, recipe, DIRECTION), compose_with(bank, recipe, DIRECTION)
    every = compose_with(bank, recipe, DIRECTION, "svd", EVERYTHING)
    assert list(every.updates) == [Scope.EVERYWHERE]
    assert set(every.updates[Scope.EVERYWHERE]) == set(base.sites)
    for site, update in composed.updates[Scope.EVERYWHERE].items():
        close(linear.updates[Scope.EVERYWHERE][site].delta(), update.delta())
        close(every.updates[Scope.EVERYWHERE][site].delta(), update.delta())


def test_scopes_stay_apart_and_have_nothing_to_merge():
    base = tiny.load("llama")
    bank = banks.bank(base, scoped=True)
    found = compose_with(bank, Recipe(), DIRECTION, "ties")
    assert set(found.updates) == {Scope.SOURCE, Scope.TARGET}
    for role in Role:
        adapter: Adapter = bank[AdapterName(DIRECTION[role is Role.TARGET], role)]
        assert dict(found.updates[Scope(role.value)]) == dict(adapter.updates)
    assert not compose_with(Bank(), Recipe(), DIRECTION, "ties").updates


def test_results_keep_the_dtype_and_take_no_gradient():
    terms = [(w, Update(u.A.bfloat16().requires_grad_(), u.B.bfloat16(), u.scale)) for w, u in pair()]
    for name in ALL:
        update = merge_site(name, terms, SITE).update
        exact = name == "linear"  # the weights go into the factors, which bfloat16 would round
        assert update.A.dtype == update.B.dtype == (torch.float32 if exact else torch.bfloat16)
        assert not update.A.requires_grad


def test_bad_settings_are_refused():
    for density in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="density"):
            Setting(density=density)
    with pytest.raises(ConfigError, match="rank"):
        Setting(rank=0)
    with pytest.raises(ConfigError, match="Did you mean knots"):
        merge_site("knot", pair(), SITE)
    assert weighted_sum(pair()).rank == 8  # the terms are as they were
