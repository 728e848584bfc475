"""Train the demo base: a small Llama-class translator among nine European languages.

The base sees all directions among eng spa ita por nld swe dan pol ces, and of deu epo fra rus only
monolingual sentences, so that adding one of these four (or any other language) is real work.
Run through ``runs/demo_base.sh``.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

KNOWN = {
    "ces_Latn": "Czech",
    "dan_Latn": "Danish",
    "eng_Latn": "English",
    "ita_Latn": "Italian",
    "nld_Latn": "Dutch",
    "pol_Latn": "Polish",
    "por_Latn": "Portuguese",
    "spa_Latn": "Spanish",
    "swe_Latn": "Swedish",
}
GLIMPSED = {"deu_Latn": "German", "epo_Latn": "Esperanto", "fra_Latn": "French", "rus_Cyrl": "Russian"}
MONOLINGUAL_SENTENCES = 4000
VOCABULARY = 8000
BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Return the (left, right) sentences of one ``{a}-{b}.tsv.gz``."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = (line.rstrip("\n").split("\t") for line in lines)
        return [(row[0], row[1]) for row in rows if len(row) == 2 and row[0] and row[1]]


def read_corpus(train: Path) -> tuple[dict[tuple[str, str], list[tuple[str, str]]], dict[str, list[str]]]:
    """Return the parallel text of the known languages and the monolingual text of the glimpsed ones."""
    parallel = {}
    for a, b in itertools.combinations(sorted(KNOWN), 2):
        path = train / f"{a}-{b}.tsv.gz"
        if path.exists():
            parallel[a, b] = read_pairs(path)
    monolingual = {}
    for code in sorted(GLIMPSED):
        a, b = sorted((code, "eng_Latn"))
        column = 0 if code == a else 1
        sentences = sorted({pair[column] for pair in read_pairs(train / f"{a}-{b}.tsv.gz")})
        random.Random(code).shuffle(sentences)
        monolingual[code] = sentences[:MONOLINGUAL_SENTENCES]
    return parallel, monolingual


def train_tokenizer(parallel: dict, monolingual: dict) -> PreTrainedTokenizerFast:
    """Byte-level BPE: every byte is in the vocabulary, so no text is ever unknown."""
    texts: dict[str, list[str]] = {code: list(lines) for code, lines in monolingual.items()}
    for (a, b), pairs in parallel.items():
        texts.setdefault(a, []).extend(left for left, _ in pairs)
        texts.setdefault(b, []).extend(right for _, right in pairs)
    balanced = [f"{name}:" for name in (KNOWN | GLIMPSED).values() for _ in range(2000)]
    for code in sorted(texts):
        sentences = sorted(set(texts[code]))
        random.Random(code).shuffle(sentences)
        balanced += sentences[:12000]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(balanced, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD)


def encode_rows(
    tokenizer: PreTrainedTokenizerFast, parallel: dict, monolingual: dict
) -> list[tuple[list[int], list[int]]]:
    r"""Return rows as (prompt ids, answer ids); the loss falls on the answer alone.

    The format is the one the base's ``lingraft.json`` states: ``{source}: {text}\n`` then ``{target}:``
    then `` {translation}``, the parts tokenised one by one so that their borders are exact.
    """
    names = KNOWN | GLIMPSED
    ids = lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]
    tag = {code: ids([f"{name}:"])[0] for code, name in names.items()}
    bos, eos, newline = tokenizer.bos_token_id, tokenizer.eos_token_id, ids(["\n"])[0]
    rows = []
    for (a, b), pairs in parallel.items():
        left = ids([" " + pair[0] for pair in pairs])
        right = ids([" " + pair[1] for pair in pairs])
        for x, y in zip(left, right, strict=True):
            rows.append(([bos, *tag[a], *x, *newline, *tag[b]], [*y, eos]))
            rows.append(([bos, *tag[b], *y, *newline, *tag[a]], [*x, eos]))
    for code, sentences in monolingual.items():
        rows += [([bos, *tag[code]], [*x, eos]) for x in ids([" " + sentence for sentence in sentences])]
    return [row for row in rows if len(row[0]) + len(row[1]) <= 128]


def batches(rows: list, tokens: int, seed: int, epoch: int):
    """Yield lists of rows of like length, at most ``tokens`` padded tokens each, in random order."""
    rng = random.Random(f"{seed}-{epoch}")
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i][0]) + len(rows[i][1]), rng.random()))
    groups, start = [], 0
    for end in range(1, len(order) + 1):
        longest = sum(map(len, rows[order[min(end, len(order) - 1)]]))
        if end == len(order) or longest * (end - start + 1) > tokens:
            groups.append(order[start:end])
            start = end
    rng.shuffle(groups)
    for group in groups:
        yield [rows[i] for i in group]


def collate(rows: list, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return input ids [B, T] and labels [B, T] (−100 where there is no loss), padded on the right."""
    longest = -(-max(len(prompt) + len(answer) for prompt, answer in rows) // 4) * 4
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), -100)
    for i, (prompt, answer) in enumerate(rows):
        ids[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        labels[i, len(prompt) - 1 : len(prompt) + len(answer) - 1] = torch.tensor(answer)
    return ids, labels


def build(tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace) -> LlamaForCausalLM:
    """Return the untrained model."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.width,
        intermediate_size=3 * args.width,
        num_hidden_layers=args.layers,
        num_attention_heads=args.width // 64,
        num_key_value_heads=args.width // 64,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        attn_implementation="eager",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(args.seed)
    return LlamaForCausalLM(config)


def optimizers(model: LlamaForCausalLM, args: argparse.Namespace) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    matrices = [p for name, p in model.model.layers.named_parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=args.lr, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01),
    ]


class Loss:
    """Label-smoothed cross-entropy (0.1) over the answers' tokens; only their logits are computed.

    Compiled, and with plain attention: on two cores that is 1.6 times the speed of the fused
    attention, whose backward pass is slow on short sequences.
    """

    def __init__(self, model: LlamaForCausalLM) -> None:
        """Compile the layers and the loss of ``model``."""
        self.head = model.lm_head
        self.decoder = torch.compile(lambda ids: model.model(input_ids=ids, use_cache=False)[0], dynamic=True)
        self.cross_entropy = torch.compile(self._cross_entropy, dynamic=True)

    def _cross_entropy(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.head(hidden).float(), labels, label_smoothing=0.1)

    def __call__(self, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of ids [B, T] with labels [B, T] (−100: no loss)."""
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.decoder(ids)  # B, T, D
            return self.cross_entropy(hidden[labels >= 0], labels[labels >= 0])


def main() -> None:
    """Train for a fixed wall time: warm-up, constant rate, then linear decay over the last 30 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the {a}-{b}.tsv.gz train files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--tokens", type=int, default=5000, help="padded tokens per batch")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    parallel, monolingual = read_corpus(args.data)
    tokenizer = train_tokenizer(parallel, monolingual)
    rows = encode_rows(tokenizer, parallel, monolingual)
    held_out = random.Random(args.seed).sample(range(len(rows)), 400)
    check = collate([rows[i] for i in held_out], tokenizer.pad_token_id)
    rows = [row for i, row in enumerate(rows) if i not in set(held_out)]
    model = build(tokenizer, args)
    parameters = sum(p.numel() for p in model.parameters())
    tokens = sum(len(p) + len(a) for p, a in rows)
    print(f"{parameters / 1e6:.2f} M parameters, {len(rows)} rows, {tokens / 1e6:.1f} M tokens per epoch", flush=True)

    loss_of, steppers, held = Loss(model), optimizers(model, args), math.nan
    start, step, seen = time.monotonic(), 0, 0
    endless = (batch for epoch in itertools.count() for batch in batches(rows, args.tokens, args.seed, epoch))
    while (progress := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        rate = args.lr * min(1, (step + 1) / 200) * min(1, max(0.01, (1 - progress) / 0.3))
        ids, labels = collate(next(endless), tokenizer.pad_token_id)
        loss = loss_of(ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = rate
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        step, seen = step + 1, seen + int((ids != tokenizer.pad_token_id).sum())
        if step % 50 == 0 or math.isnan(loss.item()):
            with torch.no_grad():
                held = loss_of(*check).item()
            spent = time.monotonic() - start
            print(
                f"step {step} loss {loss.item():.3f} held-out {held:.3f} {seen / spent:.0f} tokens/s "
                f"epoch {seen / tokens:.2f} {spent / 60:.1f} min",
                flush=True,
            )
    model.to(torch.bfloat16).save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    summary = {
        "parameters": parameters,
        "steps": step,
        "tokens": seen,
        "epochs": seen / tokens,
        "held_out_loss": held,
        "minutes": args.minutes,
        "seed": args.seed,
    }
    (args.out / "training.json").write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
