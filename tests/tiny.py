"""Tiny bases of each family, of the real classes, with tokenizers trained on the spot: no network, no files.

``base(family, tmp_path)`` saves one into a folder; ``load(family)`` gives one loaded base per process.
Families: the keys of ``CONFIGS``. ``m2m_100`` has NLLB's tokenizer (FLORES codes as tokens),
``m2m_100_short`` M2M-100's own (``__de__``).
"""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from lingraft.base import Base
from lingraft.base import load as load_base
from lingraft.base.load import quiet

NAMES = {
    "deu_Latn": "German",
    "eng_Latn": "English",
    "epo_Latn": "Esperanto",
    "fra_Latn": "French",
    "ita_Latn": "Italian",
    "rus_Cyrl": "Russian",
    "spa_Latn": "Spanish",
}
FORMAT = {"source": "{source}: {text}\n", "target": "{target}:", "answer": " {text}"}
TEXTS = [
    "the small dog sees the big red house and drinks cold water",
    "der kleine Hund sieht das große rote Haus und trinkt kaltes Wasser",
    "le petit chien voit la grande maison rouge et boit de l'eau fraîche",
    "la malgranda hundo vidas la grandan ruĝan domon kaj trinkas akvon",
    "il piccolo cane vede la grande casa rossa e beve acqua fredda",
    "маленькая собака видит большой красный дом и пьёт холодную воду",
    'el perro pequeño ve la gran casa roja y bebe agua fría. ¿No? 0123456789 ,;:!?"()-—«»',
]
ALPHABET = sorted({*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ▁", *"".join(TEXTS)} - {" "})

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
WIDE = {**SHAPE, "head_dim": 16}  # q is 64×32: neither square nor of the hidden size
FEED = {"d_model": 32, "encoder_ffn_dim": 48, "decoder_ffn_dim": 40}
HEADS = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "image_size": 28,
}
CONFIGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**SHAPE, "tie_word_embeddings": True}),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**SHAPE, "sliding_window": None}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", SHAPE),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", WIDE),
    "gemma3_text": ("Gemma3ForCausalLM", "Gemma3TextConfig", {**WIDE, "query_pre_attn_scalar": 16}),
    "gemma3": ("Gemma3ForConditionalGeneration", "Gemma3Config", {**WIDE, "query_pre_attn_scalar": 16}),
    "m2m_100": ("M2M100ForConditionalGeneration", "M2M100Config", {**FEED, **HEADS}),
    "m2m_100_short": ("M2M100ForConditionalGeneration", "M2M100Config", {**FEED, **HEADS}),
}


def base(family: str, tmp_path: Path, seed: int = 0, layers: int = 2) -> Path:
    """Save a tiny base (model, tokenizer, card) into a new folder under ``tmp_path`` and return the folder."""
    folder = Path(tempfile.mkdtemp(prefix=f"{family}-", dir=tmp_path))
    tokenizer = make_tokenizer(family, folder)
    with quiet():
        tokenizer.save_pretrained(folder)
        make_model(family, tokenizer, seed, layers).save_pretrained(folder)
    if not family.startswith("m2m_100"):
        card = {"format": FORMAT, "languages": ["eng_Latn", "ita_Latn", "spa_Latn"], "names": NAMES}
        (folder / "lingraft.json").write_text(json.dumps(card))
    return folder


@cache
def load(family: str, layers: int = 2) -> Base:
    """Return a tiny base in fp32, the same object on every call in a process."""
    with tempfile.TemporaryDirectory() as folder:
        return load_base(str(base(family, Path(folder), layers=layers)))


def make_model(family: str, tokenizer: Any, seed: int = 0, layers: int = 2) -> Any:
    """Build a random model; its weights are larger than usual, so that outputs depend on the input."""
    model, config, values = CONFIGS[family]
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    common = {"vocab_size": -(-(_highest_id(tokenizer) + 1) // 8) * 8, "pad_token_id": tokenizer.pad_token_id, **ids}
    if family.startswith("m2m_100"):
        depth = {"encoder_layers": layers, "decoder_layers": layers}
        more = {"max_position_embeddings": 128, "decoder_start_token_id": tokenizer.eos_token_id, "init_std": 0.1}
    else:
        depth = {"num_hidden_layers": layers}
        more = {"max_position_embeddings": 256, "initializer_range": 0.1}
    arguments: dict[str, Any] = {**values, **common, **depth, **more}
    if family == "gemma3":
        arguments = {
            "text_config": arguments,
            "vision_config": {**VISION, "image_size": 28, "patch_size": 14},
            "mm_tokens_per_image": 4,
        }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return getattr(transformers, model)(getattr(transformers, config)(**arguments))


def make_tokenizer(family: str, folder: Path) -> Any:
    """Train the kind of tokenizer that the family has."""
    if family == "m2m_100":
        return nllb_tokenizer()
    if family == "m2m_100_short":
        return m2m_tokenizer(folder)
    return bpe_tokenizer(bos=None if family.startswith("qwen") else "<s>")


def bpe_tokenizer(bos: str | None = "<s>") -> transformers.PreTrainedTokenizerFast:
    """Byte-level BPE; every text round-trips."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [token for token in ("<pad>", bos, "</s>") if token]
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token="</s>", pad_token="<pad>"
    )


def nllb_tokenizer() -> transformers.NllbTokenizer:
    """NLLB's class with the languages of ``NAMES`` as tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=ALPHABET, show_progress=False),
    )
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    return transformers.NllbTokenizer(vocab=model["vocab"], merges=merges, extra_special_tokens=list(NAMES))


def m2m_tokenizer(folder: Path) -> transformers.M2M100Tokenizer:
    """M2M-100's class over a SentencePiece model that is left in ``folder``."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS, " ".join(ALPHABET)]),
        model_prefix=str(folder / "tiny"),
        vocab_size=300,
        model_type="bpe",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tiny.model"))
    listed = ["<s>", "<pad>", "</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size()))]
    vocabulary = folder / "tiny.json"
    vocabulary.write_text(json.dumps({piece: i for i, piece in enumerate(listed)}))
    return transformers.M2M100Tokenizer(str(vocabulary), str(folder / "tiny.model"))


def _highest_id(tokenizer: Any) -> int:
    short = getattr(tokenizer, "lang_code_to_id", {})
    return max([*tokenizer.get_vocab().values(), *short.values()])
