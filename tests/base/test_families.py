"""Every family on a tiny model of its real class: sites complete, of the right shape, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tiny
from lingraft.atoms import BaseError, Site
from lingraft.base import FAMILIES, Base, family_of, find_sites

DECODER = ("q", "k", "v", "o", "gate", "up", "down")
ENCODER_OF_TWO = ("q", "k", "v", "o", "fc1", "fc2")
DECODER_OF_TWO = ("q", "k", "v", "o", "cross_q", "cross_k", "cross_v", "cross_o", "fc1", "fc2")
GATED = [(32, 32), (16, 32), (16, 32), (32, 32), (48, 32), (48, 32), (32, 48)]
WIDE = [(64, 32), (32, 32), (32, 32), (32, 64), (48, 32), (48, 32), (32, 48)]


def fresh(family: str, layers: int = 2):
    """A model that a test may break."""
    return tiny.make_model(family, tiny.nllb_tokenizer() if family == "m2m_100" else tiny.bpe_tokenizer(), 0, layers)


def sites(model, model_type: str):
    return find_sites(model, family_of(model_type), model.config.get_text_config())


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        ("llama", GATED),
        ("mistral", GATED),
        ("qwen2", GATED),
        ("qwen3", WIDE),
        ("gemma3_text", WIDE),
        ("gemma3", WIDE),
    ],
)
def test_sites_of_decoder_only_families(family, shapes):
    base = tiny.load(family)
    assert list(base.sites) == [Site("decoder", layer, name) for layer in range(2) for name in DECODER]
    assert [base.shape(site) for site in base.sites] == shapes * 2
    assert all(tuple(base.module(site).weight.shape) == base.shape(site) for site in base.sites)


@pytest.mark.parametrize("family", ["m2m_100", "m2m_100_short"])
def test_sites_of_encoder_decoders(family):
    base = tiny.load(family)
    expected = [Site("encoder", layer, name) for layer in range(2) for name in ENCODER_OF_TWO]
    expected += [Site("decoder", layer, name) for layer in range(2) for name in DECODER_OF_TWO]
    assert list(base.sites) == expected
    assert base.shape(Site("encoder", 1, "fc1")) == (48, 32)
    assert base.shape(Site("decoder", 0, "fc2")) == (32, 40)
    assert base.sites[Site("decoder", 1, "cross_o")] == "model.decoder.layers.1.encoder_attn.out_proj"


@pytest.mark.parametrize("family", list(tiny.CONFIGS))
def test_the_sites_are_all_linear_maps_of_the_layers(family):
    base = tiny.load(family)
    inside = {
        name
        for stack in base.family.stacks.values()
        for name, module in base.model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(stack.layers + ".")
    }
    assert set(base.sites.values()) == inside
    assert len(set(map(id, map(base.module, base.sites)))) == len(inside)


@pytest.mark.parametrize("family", list(tiny.CONFIGS))
def test_a_base_is_frozen_and_shows_its_tree(family):
    base = tiny.load(family)
    assert not base.model.training
    assert not any(p.requires_grad for p in base.model.parameters())
    assert (base.device, base.dtype) == (torch.device("cpu"), torch.float32)
    assert "2 layers of q" in repr(base)
    assert base.family.name in repr(base)


def test_layer_1_is_not_layer_10():
    base = tiny.load("llama", layers=12)
    assert len(base.sites) == 12 * 7
    assert [site.layer for site in base.sites if site.name == "q"] == list(range(12))
    for layer in (1, 10, 11):
        assert base.module(Site("decoder", layer, "v")) is base.model.model.layers[layer].self_attn.v_proj


@pytest.mark.parametrize("site", [Site("decoder", 2, "q"), Site("encoder", 0, "q"), Site("decoder", 0, "fc1")])
def test_a_site_that_is_not_there_is_named(site):
    with pytest.raises(BaseError, match=str(site)):
        tiny.load("llama").module(site)


def test_a_missing_linear_map_is_named():
    model = fresh("llama")
    del model.model.layers[1].mlp.up_proj
    with pytest.raises(BaseError, match=r"model\.layers\.1\.mlp\.up_proj.*missing"):
        sites(model, "llama")


def test_a_module_of_another_kind_is_named():
    model = fresh("m2m_100")
    model.model.decoder.layers[0].encoder_attn.k_proj = nn.LayerNorm(32)
    with pytest.raises(BaseError, match=r"decoder\.layers\.0\.encoder_attn\.k_proj.*LayerNorm"):
        sites(model, "m2m_100")


def test_an_extra_linear_map_is_named():
    model = fresh("qwen3")
    model.model.layers[0].self_attn.router = nn.Linear(32, 4)
    with pytest.raises(BaseError, match=r"model\.layers\.0\.self_attn\.router"):
        sites(model, "qwen3")


@pytest.mark.parametrize("keep", [0, 1])
def test_a_missing_layer_is_an_error(keep):
    model = fresh("llama")
    model.model.layers = model.model.layers[:keep]
    with pytest.raises(BaseError, match="list of 2 layers"):
        sites(model, "llama")


def test_a_missing_stack_is_an_error():
    with pytest.raises(BaseError, match=r"`model\.encoder\.layers`.*missing"):
        find_sites(fresh("llama"), family_of("m2m_100"), tiny.load("m2m_100").model.config)


def test_a_quantised_linear_map_is_a_site():
    class Quantised(nn.Module):
        in_features, out_features = 32, 32

    model = fresh("llama")
    model.model.layers[0].self_attn.q_proj = Quantised()
    base = Base("quantised", model, tiny.bpe_tokenizer(), family_of("llama"), tiny.load("llama").format)
    assert base.shape(Site("decoder", 0, "q")) == (32, 32)


def test_each_model_type_belongs_to_one_family():
    types = [model_type for family in FAMILIES for model_type in family.model_types]
    assert len(types) == len(set(types))


@pytest.mark.parametrize("model_type", ["gpt2", "bert", "phi3", "llama2", "", None])
def test_another_family_is_refused_with_the_supported_ones(model_type):
    with pytest.raises(BaseError, match=r"llama .*m2m_100") as caught:
        family_of(model_type)
    assert repr(model_type) in str(caught.value)
