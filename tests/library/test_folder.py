"""Law 9 (save∘load ≡ identity), and PEFT itself as the reference for what was saved."""

from __future__ import annotations

import copy
import json

import pytest
import shelf
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, M2M100Config, M2M100ForConditionalGeneration

from lingraft.atoms import AdapterError, BaseError, LibraryError, Role, Scope
from lingraft.delta import Adapter, Update, weighted_sum
from lingraft.direction import Recipe
from lingraft.library import load, save, save_composition
from lingraft.library.config import alpha_of


def llama(layers: int = 12) -> LlamaForCausalLM:
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=32, num_hidden_layers=layers, **sizes)).eval()


def m2m_100() -> M2M100ForConditionalGeneration:
    sizes = {f"{side}_{name}": n for side in ("encoder", "decoder")
             for name, n in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 24))}  # fmt: skip
    return M2M100ForConditionalGeneration(
        M2M100Config(vocab_size=32, d_model=16, max_position_embeddings=32, **sizes)
    ).eval()


MODELS = {"llama": llama, "m2m_100": m2m_100}


@torch.no_grad()
def logits(model, double: bool = False):
    ids = torch.arange(3, 11).reshape(1, 8)
    inputs = {"input_ids": ids}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
    return model(**inputs).logits


def merged(base, updates) -> torch.Tensor:
    """Logits of a float64 copy of the base with ΔW added: the reference."""
    model = copy.deepcopy(base.model).double()
    with torch.no_grad():
        for site, update in updates.items():
            model.get_submodule(base.sites[site]).weight += update.delta()
    return logits(model)


def through_peft(base, folder) -> torch.Tensor:
    from peft import PeftModel

    return logits(PeftModel.from_pretrained(copy.deepcopy(base.model), str(folder)).eval())


@pytest.mark.parametrize("model_type", MODELS)
@pytest.mark.parametrize(
    ("ranks", "alphas"), [((4,), (4.0,)), ((1, 2, 5, 3, 4), (8.0, 0.5, 3.0))], ids=["equal", "mixed"]
)
def test_peft_gives_the_logits_of_the_merged_base(model_type, ranks, alphas, tmp_path):
    torch.manual_seed(0)
    base = shelf.base(model=MODELS[model_type](), model_type=model_type)
    adapter = shelf.adapter(base, "deu_Latn", Role.SOURCE, ranks=ranks, alphas=alphas)
    save(adapter, base, shelf.record(), shelf.profile("deu_Latn"), tmp_path / "x")
    expected = merged(base, adapter.updates)
    assert (expected - logits(base.model)).abs().max() > 0.1
    torch.testing.assert_close(through_peft(base, tmp_path / "x").double(), expected, atol=2e-5, rtol=1e-4)


def test_a_layer_is_not_mistaken_for_one_whose_number_it_begins(tmp_path):
    """Only layer 1 of twelve, then only layer 10, each with another rank and alpha than the rest."""
    base = shelf.base(model=llama(), model_type="llama")
    adapter = shelf.adapter(base, "deu_Latn", Role.SOURCE)
    for layer in (1, 10):
        updates = {
            s: Update(A=u.A[:1], B=u.B[:, :1], scale=3.0) if s.layer == layer else u for s, u in adapter.updates.items()
        }
        save_composition(updates, base, tmp_path / f"all{layer}")
        torch.testing.assert_close(
            through_peft(base, tmp_path / f"all{layer}").double(), merged(base, updates), atol=2e-5, rtol=1e-4
        )
        alone = {s: u for s, u in updates.items() if s.layer == layer}
        save_composition(alone, base, tmp_path / f"one{layer}")
        torch.testing.assert_close(
            through_peft(base, tmp_path / f"one{layer}").double(), merged(base, alone), atol=2e-5, rtol=1e-4
        )


@pytest.mark.parametrize("role", list(Role))
def test_peft_loads_an_adapter_of_the_joint_regime(role, tmp_path):
    """Updates at only the layers that its role indexes, of both stacks, and another rank at each site."""
    torch.manual_seed(0)
    base = shelf.base(model=m2m_100(), model_type="m2m_100")
    recipe = Recipe(0, 1, {("encoder", 0): (1, 0), ("decoder", 1): (1, 0)}, {("decoder", 1, "cross_q"): (0, 1)})
    whole = shelf.adapter(base, "deu_Latn", role, ranks=(1, 4, 2), alphas=(1.0, 4.0, 3.0, 2.0), scoped=False)
    some = {site: update for site, update in whole.updates.items() if role in recipe.roles(site)}
    assert 8 < len(some) < len(base.sites)
    assert {site.stack for site in some} == {"encoder", "decoder"}
    adapter = Adapter("deu_Latn", role, Scope.EVERYWHERE, some)
    save(adapter, base, shelf.record(), shelf.profile("deu_Latn"), tmp_path / "x")
    expected = merged(base, some)
    assert (expected - logits(base.model)).abs().max() > 0.1
    torch.testing.assert_close(through_peft(base, tmp_path / "x").double(), expected, atol=2e-5, rtol=1e-4)
    assert shelf.same(load(tmp_path / "x", base).adapter, adapter)


@pytest.mark.parametrize("model_type", MODELS)
def test_a_composed_direction_is_a_peft_adapter_too(model_type, tmp_path):
    base = shelf.base(model=MODELS[model_type](), model_type=model_type)
    one = shelf.adapter(base, "deu_Latn", Role.SOURCE, ranks=(1, 3), alphas=(2.0, 5.0))
    two = shelf.adapter(base, "fra_Latn", Role.TARGET, ranks=(2,), alphas=(1.0,))
    updates = {s: weighted_sum([(0.7, one.updates[s]), (-0.3, two.updates[s])]) for s in base.sites}
    save_composition(updates, base, tmp_path / "x")
    torch.testing.assert_close(through_peft(base, tmp_path / "x").double(), merged(base, updates), atol=2e-5, rtol=1e-4)
    assert sorted(file.name for file in (tmp_path / "x").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_a_composition_that_does_not_fit_or_a_folder_that_exists_is_refused(tmp_path):
    base = shelf.base()
    updates = dict(shelf.adapter(base, "deu_Latn", Role.SOURCE).updates)
    with pytest.raises(LibraryError, match="must not exist"):
        save_composition(updates, base, tmp_path)
    first = next(iter(updates))
    wrong = [{}, {first: Update(A=torch.zeros(1, 7), B=torch.zeros(8, 1))}, {first._replace(layer=9): updates[first]}]
    for bad in (*wrong, {first: Update(A=torch.zeros(0, 8), B=torch.zeros(8, 0))}):
        with pytest.raises(BaseError):
            save_composition(bad, base, tmp_path / "x")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.lists(st.floats(1e-3, 1e3) | st.integers(1, 64).map(float), min_size=1, max_size=4),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.sampled_from(list(Role)),
    st.booleans(),
    st.integers(0, 99),
)
def test_save_then_load_is_the_identity_bit_for_bit(tmp_path_factory, ranks, alphas, dtype, role, scoped, seed):
    base, folder = shelf.base(), tmp_path_factory.mktemp("law9") / "x"
    options = {"ranks": ranks, "alphas": alphas, "dtype": dtype, "scoped": scoped, "seed": seed}
    adapter = shelf.adapter(base, "deu_Latn", role, **options)
    save(adapter, base, shelf.record(), shelf.profile("deu_Latn"), folder)
    loaded = load(folder, base)
    assert shelf.same(loaded.adapter, adapter)
    assert (loaded.manifest.record, loaded.profile) == (shelf.record(), shelf.profile("deu_Latn"))


@given(st.floats(1e-6, 1e6), st.integers(1, 512))
def test_every_alpha_over_rank_is_kept_exactly(alpha, rank):
    assert alpha_of(alpha / rank, rank) / rank == alpha / rank


def test_an_adapter_on_some_sites_comes_back(tmp_path):
    base = shelf.base()
    whole = shelf.adapter(base, "deu_Latn", Role.TARGET)
    some = {site: update for site, update in reversed(whole.updates.items()) if site.name in "qv" and site.layer}
    save(
        Adapter("deu_Latn", Role.TARGET, Scope.TARGET, some),
        base,
        shelf.record(),
        shelf.profile("deu_Latn"),
        tmp_path / "x",
    )
    loaded = load(tmp_path / "x", base)
    assert list(loaded.adapter.updates) == [site for site in base.sites if site in some]
    assert loaded.manifest.sites == {"decoder": ("q", "v")}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda u: Update(A=u.A * float("nan"), B=u.B), "adapter.values"),
        (lambda u: Update(A=u.A, B=u.B * 1e6), "adapter.values"),
        (lambda u: Update(A=u.A, B=u.B, scale=1e6), "adapter.values"),
        (lambda u: Update(A=u.A.double(), B=u.B), "adapter.dtype"),
        (lambda u: Update(A=u.A, B=u.B[:-1]), "adapter.shape"),
        (lambda u: Update(A=u.A, B=u.B, scale=float("inf")), "adapter.shape"),
        (lambda u: Update(A=torch.zeros(513, u.A.shape[1]), B=torch.zeros(u.B.shape[0], 513)), "adapter.rank"),
    ],
)
def test_what_load_would_refuse_is_not_saved(spoil, code, tmp_path):
    base = shelf.base()
    adapter = shelf.adapter(base, "deu_Latn", Role.SOURCE)
    site = list(base.sites)[3]
    adapter = Adapter(*adapter.name, adapter.scope, {**adapter.updates, site: spoil(adapter.updates[site])})
    with pytest.raises(AdapterError) as caught:
        save(adapter, base, shelf.record(), shelf.profile("deu_Latn"), tmp_path / "x")
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


def test_the_model_card_has_what_the_hub_reads(tmp_path):
    base = shelf.base("owner/model")
    save(shelf.adapter(base, "deu_Latn", Role.SOURCE), base, shelf.record(), shelf.profile("deu_Latn"), tmp_path / "x")
    _, front, text = (tmp_path / "x" / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["library_name"] == "peft"
    assert front["pipeline_tag"] == "translation"
    assert front["base_model"] == "owner/model"
    assert front["language"] == ["de"]
    assert {"deu_Latn", "lingraft"} <= set(front["tags"])
    assert "made \\| up" in text
    assert "German → English" in text
    assert json.loads((tmp_path / "x" / "manifest.json").read_text())["record"]["training"]["dev_loss"] == 2.5
