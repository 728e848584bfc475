"""Train a small M2M-100-class base among twelve European languages, of which it reads very unlike amounts.

What it reads of which language is in ``lslo_data.py``, together with the tuning set that is kept from it.
Run through ``runs/seq2seq_base.sh``; a run that was stopped goes on when started again.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import lslo_data
import seq2seq_base_card
import torch
from lslo_data import LANGUAGES
from seq2seq_base_training import LONGEST, Training, encode
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import M2M100Config, M2M100ForConditionalGeneration, PreTrainedTokenizerFast

from lingraft.base import Base, Seq2SeqFormat, family_of
from lingraft.base.load import quiet
from lingraft.corpus import Pairs
from lingraft.library.disk import discard, write_folder

VOCABULARY = 7500
BOS, PAD, EOS = "<s>", "<pad>", "</s>"  # in M2M-100's order
MOST_SENTENCES, LEAST_SENTENCES = 12000, 2000  # of a language in the tokenizer's text
CHECK_ROWS = 8  # dev rows of each direction behind the loss that is shown while training


def train_tokenizer(texts: Sequence[Pairs]) -> PreTrainedTokenizerFast:
    """Train byte-level BPE on the base's own text: every byte is in the vocabulary, so no text is unknown.

    Of low-resource languages the sentences are repeated, so that they get words of their own, but not so
    often that the vocabulary fills with tokens that the base has hardly seen.
    """
    sentences: dict[str, set[str]] = defaultdict(set)
    for pairs in texts:
        sentences[pairs.a].update(pairs.left)
        sentences[pairs.b].update(pairs.right)
    balanced: list[str] = []
    for code in sorted(sentences):
        mine = sorted(sentences[code])
        random.Random(code).shuffle(mine)
        wanted = min(MOST_SENTENCES, max(LEAST_SENTENCES, len(mine)))
        balanced += itertools.islice(itertools.cycle(mine), wanted)
    tokenizer = Tokenizer(models.BPE())
    # A word at the start is spelled as elsewhere. The space is put there once: ByteLevel would put one before
    # each part that Digits has cut.
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(balanced, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        pad_token=PAD,
        eos_token=EOS,
        extra_special_tokens=list(LANGUAGES),
        model_max_length=2 * LONGEST,
    )


def build(tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace) -> Base:
    """Return the untrained base, with all its parameters trainable."""
    config = M2M100Config(
        vocab_size=-(-len(tokenizer) // 8) * 8,
        d_model=args.width,
        encoder_layers=args.encoder_layers,
        decoder_layers=args.decoder_layers,
        encoder_attention_heads=args.width // 64,
        decoder_attention_heads=args.width // 64,
        encoder_ffn_dim=2 * args.width,
        decoder_ffn_dim=2 * args.width,
        max_position_embeddings=2 * LONGEST,
        dropout=0.1,
        attention_dropout=0.0,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        # The backward pass of fused attention is slow on a CPU and short sequences: 1.5 times the time of a step.
        attn_implementation="eager",
    )
    torch.manual_seed(args.seed)
    model = M2M100ForConditionalGeneration(config)
    base = Base(str(args.out), model, tokenizer, family_of("m2m_100"), Seq2SeqFormat(tokenizer, tokenizer.eos_token_id))
    model.train().requires_grad_(True)
    return base


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train a small M2M-100-class base.")
    parser.add_argument("--data", type=Path, required=True, help="folder of Tatoeba's train, dev and test folders")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=None, help="[default: 4000, or 60 with --smoke]")
    parser.add_argument("--smoke", action="store_true", help="a minute and few scores, to try the script")
    parser.add_argument("--tokens", type=int, default=6000, help="padded tokens per batch")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--encoder-layers", type=int, default=6)
    parser.add_argument("--decoder-layers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=lslo_data.SEED)
    args = parser.parse_args()
    args.steps = args.steps or (60 if args.smoke else 4000)
    args.out = args.out or Path("runs/out/seq2seq_base_smoke" if args.smoke else "benchmarks/seq2seq_base")
    return args


def settings_of(args: argparse.Namespace) -> dict[str, float]:
    """Return what the command line says, but for the places of files."""
    return {name: value for name, value in vars(args).items() if name not in ("data", "out")}


def identity_of(base: Base, texts: Sequence[Pairs], args: argparse.Namespace) -> str:
    """Return a hash of settings, tokenizer and text; a checkpoint of another one is not gone on with."""
    digest = hashlib.sha256(json.dumps([settings_of(args), base.tokenizer_hash], sort_keys=True).encode())
    for pairs in texts:
        digest.update(repr((pairs.a, pairs.b, pairs.left, pairs.right)).encode())
    return digest.hexdigest()


def main() -> None:
    """Read, train, save, score; only a whole base appears at ``--out``."""
    args = parse()
    if (args.out / "training.json").exists() and not args.smoke:
        print(f"{args.out} is trained; remove it to train anew")
        return
    part = lslo_data.split(args.data, args.seed)
    dev, test = lslo_data.held_out(args.data, part, args.seed)
    print(f"{sum(map(len, part.base))} pairs: {lslo_data.by_class(part.base)}", flush=True)
    base = build(train_tokenizer(part.base), args)
    rows = encode(base, part.base)
    known = [pairs for pairs in dev if lslo_data.base_rows(pairs.a, pairs.b) != 0]
    check = [row for mine in encode(base, known).values() for row in mine[:CHECK_ROWS]]
    parameters = sum(p.numel() for p in base.model.parameters())
    print(f"{parameters / 1e6:.2f} M parameters, {sum(map(len, rows.values()))} rows\n{base!r}", flush=True)

    checkpoint, identity = args.out.with_name(f"{args.out.name}.checkpoint"), identity_of(base, part.base, args)
    training = Training(base, rows, check, args)
    training.restore(checkpoint, identity)
    training.run(checkpoint, identity)
    summary = {"parameters": parameters, **training.state, "settings": settings_of(args)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with quiet():
            base.model.to(torch.bfloat16).save_pretrained(folder)
            base.tokenizer.save_pretrained(folder)
        (folder / "training.json").write_text(json.dumps(summary, indent=2) + "\n")
        seq2seq_base_card.write(folder, test, lines=2 if args.smoke else 50)
        write_folder(args.out, {path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    discard(checkpoint)
    print(f"{args.out} is ready: {sum(path.stat().st_size for path in args.out.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
