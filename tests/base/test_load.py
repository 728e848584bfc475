"""Loading: what is refused, and how it is said."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

import tiny
from lingraft.atoms import BaseError, ConfigError
from lingraft.base import ChatFormat, PromptFormat, load
from lingraft.base.load import demo_folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return tiny.base("llama", tmp_path_factory.mktemp("bases"))


@pytest.fixture
def folder(saved, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(saved, tmp_path / "base")


@pytest.mark.parametrize("family", list(tiny.CONFIGS))
def test_saved_and_loaded_models_answer_alike(family, tmp_path):
    tokenizer = tiny.make_tokenizer(family, tmp_path)
    model = tiny.make_model(family, tokenizer).eval()
    base = load(str(tiny.base(family, tmp_path)))
    ids = torch.tensor([[5, 9, 23]])
    inputs = {"input_ids": ids, "decoder_input_ids": ids} if base.family.kind == "seq2seq" else {"input_ids": ids}
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, base.model(**inputs).logits)


def test_the_card_gives_format_and_languages(saved):
    base = load(str(saved))
    assert base.languages == ("eng_Latn", "ita_Latn", "spa_Latn")
    assert base.format.spec() == {"kind": "prompt", **tiny.FORMAT, "names": tiny.NAMES}
    assert base.card["names"]["epo_Latn"] == "Esperanto"
    assert (base.id, base.revision, base.context) == (str(saved), None, 256)


def test_a_base_without_card_gets_the_default_prompt(folder):
    (folder / "lingraft.json").unlink()
    base = load(str(folder))
    assert base.format.hash == PromptFormat(base.tokenizer).hash
    assert (base.card, base.languages) == ({}, ())


def test_the_caller_may_choose_the_format(folder):
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    assert isinstance(load(str(folder), format={"kind": "chat"}).format, ChatFormat)


def test_languages_of_an_encoder_decoder_are_its_tokens():
    assert tiny.load("m2m_100").languages == tuple(sorted(tiny.NAMES))
    short = tiny.load("m2m_100_short").languages
    assert len(short) == 100
    assert {"deu_Latn", "nso_Latn", "zho_Hans", "arb_Arab"} <= set(short)


SMALL = {"vocab_size": 300, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


@pytest.mark.parametrize(
    "make",
    [
        lambda: GPT2LMHeadModel(GPT2Config(**SMALL, bos_token_id=0, eos_token_id=1)),
        lambda: BertModel(BertConfig(**SMALL, intermediate_size=8)),
    ],
)
def test_an_unsupported_family_is_refused(make, tmp_path):
    make().save_pretrained(tmp_path)
    with pytest.raises(BaseError, match="must be one of llama"):
        load(str(tmp_path))


def test_a_family_that_needs_its_own_code_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(BaseError, match="'mine'"):
        load(str(folder))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "nowhere", "a/b/c", ""])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(BaseError, match="no such folder"):
        load(name)


def test_a_hub_id_without_network(monkeypatch, tmp_path):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BaseError, match=r"`nobody/nothing`.*Check the name, the network"):
        load("nobody/nothing")


def test_no_config(folder):
    (folder / "config.json").unlink()
    with pytest.raises(BaseError, match=r"config\.json"):
        load(str(folder))


def test_a_broken_config(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(BaseError, match="can't be read"):
        load(str(folder))


def test_no_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(BaseError, match="tokenizer"):
        load(str(folder))


def test_pickled_weights_are_not_read(folder):
    weights = folder / "model.safetensors"
    torch.save({}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(BaseError, match=r"\*\.safetensors"):
        load(str(folder))


def test_weights_cut_short(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BaseError, match="can't be loaded"):
        load(str(folder))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda w: w.pop("model.layers.1.mlp.up_proj.weight"),
            "missing ones instead: model.layers.1.mlp.up_proj.weight",
        ),
        (lambda w: w.update({"model.layers.1.mlp.extra.weight": torch.ones(2)}), "unexpected ones .*mlp.extra.weight"),
        (
            lambda w: w.update({"model.layers.1.mlp.up_proj.weight": torch.ones(2, 2)}),
            "can't be loaded|mismatched ones",
        ),
    ],
)
def test_weights_that_are_missing_or_too_many(folder, change, said):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BaseError, match=said):
        load(str(folder))


def test_another_models_tokenizer(folder):
    from transformers import LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(
        LlamaConfig(vocab_size=50, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    ).save_pretrained(folder)
    with pytest.raises(BaseError, match="50 embeddings"):
        load(str(folder))


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("{", "base card"),
        ("[]", "no JSON object"),
        ('{"format": "x"}', "`format`"),
        ('{"languages": "deu_Latn"}', "`languages`"),
        ('{"languages": ["eng_Latn", "it"]}', "`languages` holds 'it', which must be written ita_Latn"),
        ('{"languages": ["eng_latn"]}', "written eng_Latn"),
        ('{"languages": ["Klingonn"]}', "`languages` holds 'Klingonn', which is no code"),
        ('{"names": {"deu_Latn": 1}}', "`names`"),
        ('{"names": {"de": "German"}}', "`names` holds 'de', which must be written deu_Latn"),
        ('{"format": {"names": ["German"]}}', "`names`"),
        ('{"format": {"target": "", "source": "{target}: {text}"}}', "`target`"),
        ('{"format": {"kind": "seq2seq"}}', "prompt or chat"),
        ('{"format": {"sorce": "{text}"}}', "sorce"),
        ('{"format": {"source": "no placeholder"}}', "`source`"),
        ('{"format": {"source": 1}}', "`source`"),
        ('{"format": {"kind": ["prompt"]}}', "prompt or chat"),
        ('{"format": {"source": "{source} {text}", "target": ":"}}', "{target}"),
        ('{"format": {"kind": "chat"}}', "chat template"),
    ],
)
def test_a_bad_card_is_refused(folder, card, said):
    (folder / "lingraft.json").write_text(card)
    with pytest.raises(BaseError, match=said):
        load(str(folder))


@pytest.mark.parametrize("arguments", [{"dtype": "float8"}, {"device": "toaster"}, {"device": "cuda:99"}])
def test_settings_that_do_not_exist(saved, arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        load(str(saved), **arguments)


def test_loading_is_quiet_and_leaves_the_loggers_as_they_were(saved, capfd):
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(str(saved))
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_the_demo_base_is_in_the_package_or_missed_clearly(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path)
    with pytest.raises(BaseError, match=r"runs/demo_base\.sh"):
        load("demo")
    (tmp_path / "data" / "demo_base").mkdir(parents=True)
    (tmp_path / "data" / "demo_base" / "config.json").write_text("{}")
    assert demo_folder() == tmp_path / "data" / "demo_base"
