"""The hashes of model and tokenizer: equal for equal, different for different."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoTokenizer

import tiny
from lingraft.base import fingerprint, load, tokenizer_hash


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "m2m_100"])
def test_the_fingerprint_does_not_depend_on_the_load_dtype(family, tmp_path):
    folder = str(tiny.base(family, tmp_path))
    full, half = load(folder), load(folder, dtype="bfloat16")
    assert (full.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    assert full.fingerprint == half.fingerprint
    assert fingerprint(full.model, exact=True) != fingerprint(half.model, exact=True)


@pytest.mark.parametrize("exact", [False, True])
def test_one_changed_weight_changes_it(exact):
    model = tiny.make_model("llama", tiny.bpe_tokenizer())
    before = fingerprint(model, exact=exact)
    weight = model.model.layers[1].mlp.down_proj.weight.data
    old = weight[3, 4].item()
    weight[3, 4] += 0.25
    assert fingerprint(model, exact=exact) != before
    weight[3, 4] = old
    assert fingerprint(model, exact=exact) == before


def test_only_the_exact_one_sees_a_change_below_bf16():
    model = tiny.make_model("llama", tiny.bpe_tokenizer())
    weight = model.model.layers[0].self_attn.q_proj.weight.data
    weight[0, 0] = 1.0
    loose, exact = fingerprint(model), fingerprint(model, exact=True)
    weight[0, 0] = 1.0 + 2**-20
    assert fingerprint(model) == loose
    assert fingerprint(model, exact=True) != exact


def test_the_exact_one_sees_buffers():
    model = tiny.make_model("llama", tiny.bpe_tokenizer())
    before = fingerprint(model, exact=True)
    model.model.rotary_emb.inv_freq[0] += 1
    assert fingerprint(model, exact=True) != before


def test_names_and_shapes_count():
    weights = torch.arange(6.0)
    modules = [torch.nn.ParameterDict({"a": weights.view(2, 3)}), torch.nn.ParameterDict({"a": weights.view(3, 2)})]
    modules.append(torch.nn.ParameterDict({"b": weights.view(2, 3)}))
    assert len({fingerprint(module) for module in modules}) == 3


def test_tied_weights_count_once():
    class Pair(torch.nn.Module):
        def __init__(self, tied: bool) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.ones(2))
            self.b = self.a if tied else torch.nn.Parameter(torch.ones(2))

    alone = torch.nn.ParameterDict({"a": torch.ones(2)})
    assert fingerprint(Pair(True)) == fingerprint(alone) != fingerprint(Pair(False))


def test_weights_that_are_no_floats_and_scalars_are_hashed():
    module = torch.nn.Module()
    module.register_buffer("codes", torch.tensor([1, 2, 3], dtype=torch.uint8))
    module.register_buffer("scale", torch.tensor(2.0))
    before = fingerprint(module)
    module.codes[0] = 9
    assert fingerprint(module) != before


@pytest.mark.parametrize("family", ["llama", "qwen2", "m2m_100", "m2m_100_short"])
def test_the_tokenizer_hash_survives_saving_and_use(family, tmp_path):
    made = tiny.make_tokenizer(family, tmp_path)
    before = tokenizer_hash(made)
    made.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert tokenizer_hash(again) == before
    again(["short", "a longer text"], padding=bool(again.pad_token), truncation=True, max_length=4)
    if family == "m2m_100":
        again.src_lang = "deu_Latn"
    assert tokenizer_hash(again) == before


def test_another_token_or_behaviour_is_another_tokenizer():
    plain, added, normalised = (tiny.bpe_tokenizer() for _ in range(3))
    added.add_tokens(["<new>"])
    from tokenizers import normalizers

    normalised.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert len({tokenizer_hash(t) for t in (plain, added, normalised)}) == 3
