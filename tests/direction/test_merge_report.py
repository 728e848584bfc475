"""The merge report against plain dense algebra, and principal angles against subspaces made to have them."""

from __future__ import annotations

import json
import math

import pytest
import torch

import banks
import tiny
from lingraft.atoms import AdapterName, ConfigError, Direction, Role, Scope, Site
from lingraft.delta import Adapter, Bank, Update
from lingraft.direction import Recipe
from lingraft.direction.merge_report import MergeReport, merge_report
from lingraft.direction.methods import METHODS, Setting, merge_site
from lingraft.direction.spectrum import angles, dense_spectrum, principal_angles, spectrum, truncate

DIRECTION = Direction("deu_Latn", "fra_Latn")
RECIPE = Recipe(0.5, 2.0, {("decoder", 1): (1.0, 0.0)})
CHEAP = ("linear", "svd", "peft-linear")


@pytest.fixture(scope="module")
def bank() -> Bank:
    return banks.bank(tiny.load("m2m_100"), DIRECTION)


@pytest.fixture(scope="module")
def found(bank) -> MergeReport:
    return merge_report(bank, RECIPE, DIRECTION, CHEAP, Setting(rank=2))


def dense(bank: Bank, site: Site) -> tuple[torch.Tensor, torch.Tensor]:
    names = (AdapterName("deu_Latn", Role.SOURCE), AdapterName("fra_Latn", Role.TARGET))
    return tuple(bank[name].updates[site].delta() for name in names)  # type: ignore[return-value]


def test_figures_of_each_site_are_those_of_the_dense_matrices(bank, found):
    assert set(found.sites) == set(tiny.load("m2m_100").sites)
    for site, merging in found.sites.items():
        first, second = dense(bank, site)
        a, b = found.weights[site]
        assert (a, b) == ((1.0, 0.0) if site[:2] == ("decoder", 1) else (0.5, 2.0))
        exact = a * first + b * second
        assert merging.norms == pytest.approx((first.norm().item(), second.norm().item()))
        assert merging.total == pytest.approx(exact.norm().item())
        cosine = torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), 0).item()
        assert merging.cosine == pytest.approx(cosine, abs=1e-12)
        rest = torch.linalg.svdvals(exact)[2:].norm().item()
        assert merging.errors["svd"] == pytest.approx(rest / exact.norm().item(), rel=1e-4)
        assert merging.lost["svd"] == pytest.approx(merging.errors["svd"] ** 2, rel=1e-4)
        assert merging.errors["linear"] < 1e-6
        assert merging.lost["linear"] == 0
        assert (merging.errors["peft-linear"] > 0.2) == (b != 0)
        assert len(merging.columns) == len(merging.rows) == 3
        for space, (one, other) in ((merging.columns, (first, second)), (merging.rows, (first.T, second.T))):
            projections = [m @ torch.linalg.pinv(m) for m in (one, other)]
            overlap = torch.trace(projections[0] @ projections[1]).item()  # Σ cos² of the principal angles
            assert sum(math.cos(math.radians(angle)) ** 2 for angle in space) == pytest.approx(overlap)


def test_layers_are_block_diagonal_matrices_of_their_sites(bank, found):
    layers = found.together(lambda site: (site.stack, site.layer))
    assert list(layers) == [("encoder", 0), ("encoder", 1), ("decoder", 0), ("decoder", 1)]
    sites = [site for site in found.sites if site[:2] == ("decoder", 0)]
    first, second = (torch.cat([dense(bank, site)[i].flatten() for site in sites]) for i in (0, 1))
    layer = layers["decoder", 0]
    assert layer.norms == pytest.approx((first.norm().item(), second.norm().item()))
    assert layer.total == pytest.approx((0.5 * first + 2 * second).norm().item())
    assert layer.cosine == pytest.approx(torch.nn.functional.cosine_similarity(first, second, 0).item(), abs=1e-12)
    assert layer.lost["svd"] == pytest.approx(layer.errors["svd"] ** 2, rel=1e-4)
    assert len(layer.columns) == 3 * len(sites)
    assert layer.columns[0] == min(found.sites[site].columns[0] for site in sites)


def test_every_method_is_measured_as_it_merges(bank):
    base = tiny.load("m2m_100")
    site = next(iter(base.sites))
    small = Bank(Adapter(each.language, each.role, each.scope, {site: each.updates[site]}) for each in bank.values())
    (merging,) = merge_report(small, RECIPE, DIRECTION).sites.values()
    first, second = dense(bank, site)
    terms = [(0.5, small["deu_Latn", Role.SOURCE].updates[site]), (2.0, small["fra_Latn", Role.TARGET].updates[site])]
    assert list(merging.errors) == list(METHODS)
    for name in METHODS:
        delta = merge_site(name, terms, site).update.delta()
        exact = 0.5 * first + 2 * second
        assert merging.errors[name] == pytest.approx(((delta - exact).norm() / exact.norm()).item(), abs=1e-6)


def test_json_says_it_all(found):
    data = json.loads(found.to_json())
    assert data["direction"] == "deu_Latn-fra_Latn"
    assert set(data["sites"]) == {str(site) for site in found.sites}
    assert list(data["layers"]) == ["encoder.0", "encoder.1", "decoder.0", "decoder.1"]
    assert data["all"]["errors"]["svd"] == found.together(lambda site: 0)[0].errors["svd"]
    assert data["methods"]["peft-linear"]["comparison"]
    assert data["notes"] == []


def test_sides_without_an_adapter_and_other_oddities_are_noted(bank):
    into_english = merge_report(bank, Recipe(), Direction("deu_Latn", "eng_Latn"), ("ties",))
    assert "eng_Latn has no target adapter" in into_english.notes[0]
    for merging in into_english.sites.values():
        assert merging.cosine is None
        assert merging.columns == merging.rows == ()
        assert merging.errors == {"ties": 0.0}  # alone, an update stays as it is
    nothing = merge_report(bank, Recipe(0, 0), DIRECTION, ("linear", "svd"))
    assert all(merging.total == 0 and merging.errors == {} for merging in nothing.sites.values())
    json.loads(nothing.to_json())
    empty = merge_report(Bank(), Recipe(), DIRECTION)
    assert json.loads(empty.to_json())["all"] is None
    base = tiny.load("llama")
    scoped = merge_report(banks.bank(base, DIRECTION, scoped=True, rank=None), Recipe(), DIRECTION, CHEAP)
    assert scoped.scopes == (Scope.SOURCE, Scope.TARGET)
    assert "different positions (source, target)" in scoped.notes[0]
    assert "peft-linear cannot merge" in scoped.notes[1]
    assert "peft-linear" not in scoped.together(lambda site: 0)[0].errors
    with pytest.raises(ConfigError, match="method"):
        merge_report(bank, Recipe(), DIRECTION, ("slerp",))


def test_principal_angles_are_those_that_were_made():
    wanted = [1e-9, 0.3, 45.0, 89.9]
    turns = torch.tensor(wanted, dtype=torch.float64).deg2rad()
    basis = torch.linalg.qr(torch.randn(20, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    first = basis[:, :4]
    second = basis[:, :4] * turns.cos() + basis[:, 4:8] * turns.sin()
    mix = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    for one, other in ((first, second @ mix), (second @ mix, first), (first, torch.cat([second, basis[:, 8:]], 1))):
        assert principal_angles(one, other).tolist() == pytest.approx(wanted, rel=1e-6, abs=1e-12)
    assert principal_angles(first, basis[:, 5:7]).tolist() == [90.0, 90.0]
    assert principal_angles(first, basis[:, :0]).tolist() == []


def test_angles_see_through_factors_to_what_they_make():
    """A component that A or B makes zero, or twice, spans nothing of its own."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 9, generator=generator), torch.randn(12, 2, generator=generator)
    one = Update(a, b)
    same = Update(torch.cat([a, a, a[:1] * 0]), torch.cat([b / 2, b / 2, torch.ones(12, 1)], dim=1), 7.0)
    columns, rows = angles(one, same)
    assert columns == pytest.approx([0, 0], abs=1e-4)
    assert rows == pytest.approx([0, 0], abs=1e-4)
    assert angles(one, Update(a, b * 0)) == ((), ())


@pytest.mark.parametrize("rank", [0, 1, 7, 20])
def test_a_spectrum_is_that_of_the_dense_matrix(rank):
    generator = torch.Generator().manual_seed(rank)
    update = Update(torch.randn(rank, 9, generator=generator), torch.randn(12, rank, generator=generator), -1.5)
    found, wanted = spectrum(update), dense_spectrum(update.delta())
    torch.testing.assert_close(found.U * found.s @ found.V.T, update.delta())
    torch.testing.assert_close(found.s, wanted.s[: len(found.s)])
    for each in (found, wanted):
        again, lost = truncate(each, None, torch.float64)
        assert again.rank == max(1, min(rank, 9))
        assert lost == 0
        torch.testing.assert_close(again.delta(), update.delta())
