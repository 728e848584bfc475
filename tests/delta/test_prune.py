"""Law 8: pruning to a share is idempotent, and along a schedule masks only shrink."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as reference

import banks
from lingraft.atoms import AdapterName, ConfigError, Role, Site
from lingraft.delta import Update
from lingraft.delta.prune import Count, counts, require_survivors, select, share, smallest

LANGUAGES = ("deu_Latn", "epo_Latn", "fra_Latn")
SHARES = st.floats(0, 1)
SHAPES = st.lists(st.sampled_from([(3, 4), (1, 1), (5, 2), (4, 0), (7,), (0,)]), min_size=0, max_size=5)
SITES = (Site("encoder", 0, "q"), Site("encoder", 1, "q"), Site("encoder", 1, "fc1"), Site("decoder", 1, "q"))


def tensors(shapes, seed: int, ties: bool) -> list[torch.Tensor]:
    """Random tensors; with ``ties`` most magnitudes occur often, and many entries are zero."""
    generator = torch.Generator().manual_seed(seed)
    if ties:
        return [torch.randint(-2, 3, shape, generator=generator).float() for shape in shapes]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def bank():
    """Random updates; a language that stands later has a larger B, so that it keeps more."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    return {
        AdapterName(language, role): {
            site: Update(draw(2, 6), draw(8 + site.layer, 2) * (1 + 2 * place)) for site in SITES
        }
        for place, language in enumerate(LANGUAGES)
        for role in Role
    }


def flat(masks: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([mask.flatten() for mask in masks]) if masks else torch.zeros(0, dtype=torch.bool)


@pytest.mark.parametrize(
    ("epoch", "wanted"),
    [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.2439), (4, 0.4392), (7, 0.7875), (11, 0.8991), (12, 0.9), (14, 0.9)],
)
def test_schedule_is_that_of_the_paper(epoch, wanted):
    """P = 0.9, E0 = 2, k = 10; the values by hand, e.g. 0.9 − 0.9 · 0.5³ = 0.7875."""
    assert share(epoch, 0.9, 2, 10) == pytest.approx(wanted, abs=1e-12)


@given(final=SHARES, start=st.integers(0, 5), length=st.integers(0, 8))
def test_schedule_rises_from_nothing_to_the_final_share(final, start, length):
    values = [share(epoch, final, start, length) for epoch in range(start + length + 3)]
    assert values == sorted(values)
    assert all(value == 0 for value in values[:start])
    assert values[-1] == values[start + length] == final


@given(SHAPES, st.integers(0, 10**6), SHARES, st.booleans())
def test_law_8_the_smallest_go_and_as_many_as_torch_would_take(shapes, seed, wanted, ties):
    values = tensors(shapes, seed, ties)
    masks = smallest(values, wanted)
    assert [(m.shape, m.dtype) for m in masks] == [(v.shape, torch.bool) for v in values]
    keep, size = flat(masks), flat([v.abs() for v in values])
    assert int((~keep).sum()) == round(wanted * len(keep))
    if keep.any() and not keep.all():
        assert size[~keep].max() <= size[keep].min()


@given(SHAPES, st.integers(0, 10**6), SHARES, st.booleans())
def test_law_8_pruning_again_changes_nothing(shapes, seed, wanted, ties):
    values = tensors(shapes, seed, ties)
    once = smallest(values, wanted)
    again = smallest([value * mask for value, mask in zip(values, once, strict=True)], wanted)
    assert torch.equal(flat(once), flat(again))


@given(SHAPES, st.integers(0, 10**6), st.lists(SHARES, min_size=2, max_size=5), st.booleans())
def test_law_8_masks_only_shrink_while_survivors_are_trained(shapes, seed, shares, ties):
    values, before = tensors(shapes, seed, ties), None
    generator = torch.Generator().manual_seed(seed)
    for wanted in sorted(shares):
        masks = smallest(values, wanted)
        if before is not None:
            assert not (flat(masks) & ~before).any()
        before = flat(masks)
        for value, mask in zip(values, masks, strict=True):  # a step moves every survivor, never to 0
            step = torch.rand(value.shape, generator=generator) + 0.1
            value.copy_(torch.where(mask, value + torch.where(value < 0, -step, step), torch.zeros(())))


def test_nothing_or_everything_goes():
    values = tensors([(3, 4), (1, 1), (4, 0)], 0, False)
    assert flat(smallest(values, 0.0)).all()
    assert not flat(smallest(values, 1.0)).any()


def test_tiny_tensors():
    assert smallest([], 0.5) == []
    assert [mask.shape for mask in smallest([torch.zeros(4, 0)], 0.5)] == [(4, 0)]
    assert smallest([torch.tensor([[2.0]])], 0.4)[0].item() is True
    assert smallest([torch.tensor([[2.0]])], 0.6)[0].item() is False


def test_of_equal_entries_the_first_go_whatever_their_signs():
    first, second = smallest([torch.tensor([1.0, -1.0]), torch.tensor([[-0.0, 1.0], [5.0, -1.0]])], 0.5)
    assert first.tolist() == [False, False]
    assert second.tolist() == [[False, True], [True, True]]


@given(st.integers(0, 10**6), st.floats(0, 0.99), st.sampled_from([torch.float32, torch.float64]))
def test_masks_are_those_of_torch(seed, wanted, dtype):
    values = [value.to(dtype) for value in tensors([(3, 4), (1, 1), (5, 2), (7, 3)], seed, False)]
    modules = []
    for value in values:
        module = nn.Module()
        module.register_parameter("B", nn.Parameter(value.clone()))
        modules.append(module)
    reference.global_unstructured([(m, "B") for m in modules], reference.L1Unstructured, amount=wanted)
    for ours, module in zip(smallest(values, wanted), modules, strict=True):
        assert torch.equal(ours, module.B_mask.bool())


def test_within_a_language_all_its_entries_compete_and_no_other_ones():
    updates = bank()
    masks = select(updates, 0.75, "language")
    for language in LANGUAGES:
        places = [(AdapterName(language, role), site) for role in sorted(Role) for site in sorted(SITES)]
        wanted = smallest([updates[name][site].B for name, site in places], 0.75)
        for (name, site), mask in zip(places, wanted, strict=True):
            assert masks[name][site].A is None
            assert torch.equal(masks[name][site].B, mask)


def test_within_a_layer_languages_compete():
    masks = select(bank(), 0.75, "layer")
    for layer in {site[:2] for site in SITES}:
        kept = {name: flat([m.B for site, m in sites.items() if site[:2] == layer]) for name, sites in masks.items()}
        together = torch.cat([*kept.values()])
        assert int((~together).sum()) == round(0.75 * len(together))
        counted = [sum(int(keep.sum()) for name, keep in kept.items() if name.language == x) for x in LANGUAGES]
        assert counted == sorted(set(counted))  # the later one's B is larger


@pytest.mark.parametrize("scope", ["language", "layer"])
def test_order_of_the_bank_does_not_matter(scope):
    updates = bank()
    for name in updates:  # ties everywhere
        updates[name] = {s: Update(u.A, u.B.round()) for s, u in updates[name].items()}
    turned = {name: dict(reversed(sites.items())) for name, sites in reversed(updates.items())}
    one, other = select(updates, 0.6, scope), select(turned, 0.6, scope)
    assert all(torch.equal(one[name][site].B, other[name][site].B) for name in updates for site in SITES)


@pytest.mark.parametrize("scope", ["language", "layer"])
def test_factors_do_not_compete_with_one_another(scope):
    updates = bank()
    both = select(updates, 0.75, scope, "both")
    for factor in ("A", "B"):
        alone = select(updates, 0.75, scope, factor)
        for name, site in itertools.product(updates, SITES):
            assert torch.equal(getattr(both[name][site], factor), getattr(alone[name][site], factor))
            assert alone[name][site][1 - "AB".index(factor)] is None
            assert getattr(both[name][site], factor).shape == getattr(updates[name][site], factor).shape


def test_a_whole_schedule_over_a_bank():
    updates, before = bank(), None
    for epoch in range(16):
        masks = select(updates, share(epoch, 0.9, 2, 10), "language")
        banks.clear(updates, masks)
        keep = flat([mask.B for sites in masks.values() for mask in sites.values()])
        assert before is None or not (keep & ~before).any()
        before = keep
    zeros = counts(updates)
    for count in zeros.languages.values():
        a, b = 2 * len(SITES) * 2 * 6, sum(2 * (8 + site.layer) * 2 for site in SITES)
        assert count == Count(a + b, a + b - round(0.9 * b))


def test_counts_add_up():
    updates = bank()
    banks.clear(updates, select(updates, 0.5, "layer", "both"))
    classes = {"deu_Latn": "high", "epo_Latn": "low", "fra_Latn": "high"}
    found = counts(updates, classes, "both")
    assert found.classes["high"] == found.languages["deu_Latn"] + found.languages["fra_Latn"]
    assert found.classes["low"] == found.languages["epo_Latn"]
    everything = [t for sites in updates.values() for u in sites.values() for t in (u.A, u.B)]
    trained, surviving = sum(t.numel() for t in everything), sum(int(t.count_nonzero()) for t in everything)
    assert found.total == found.classes["high"] + found.classes["low"] == Count(trained, surviving)
    zeros_of_b = sum(int((t == 0).sum()) for t in everything[1::2])
    assert counts(updates).total == Count(trained, trained - zeros_of_b)  # by the paper A counts whole
    assert counts({}).total == Count(0, 0)
    with pytest.raises(ConfigError, match=r"none for fra_Latn"):
        counts(updates, {"deu_Latn": "high", "epo_Latn": "low"})


def test_pruning_that_would_empty_a_language_is_refused():
    require_survivors({"deu_Latn": 6, "epo_Latn": 1000}, 0.9)  # 1 and 100 survive
    with pytest.raises(ConfigError, match=r"0\.9 leaves none to deu_Latn \(of 4\), ido_Latn \(of 0\) instead"):
        require_survivors({"ido_Latn": 0, "deu_Latn": 4, "epo_Latn": 1000}, 0.9)


@given(st.integers(0, 40), SHARES)
def test_what_is_not_refused_leaves_something(entries, final):
    left = int(smallest([torch.ones(entries)], final)[0].sum())
    try:
        require_survivors({"deu_Latn": entries}, final)
    except ConfigError:
        assert left == 0
    else:
        assert left > 0


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(wrong):
    for use in (
        lambda: share(1, wrong, 2, 10),
        lambda: smallest([torch.ones(2)], wrong),
        lambda: select(bank(), wrong, "layer"),
        lambda: require_survivors({"deu_Latn": 5}, wrong),
    ):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            use()
    with pytest.raises(ConfigError, match="`length`"):
        share(1, 0.5, 2, -1)
