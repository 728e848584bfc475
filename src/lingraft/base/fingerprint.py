"""Hashes that tell whether two bases are the same, and whether one was written to."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import nn

PROBES = ("Two words, 1234.56 €", "  Ĉu vi PAROLAS?\n\n— «Нет!»\tẞ", "ﬁn 日本語 e\u0301")
"""Texts that show how a tokenizer normalises and splits, whatever library version wrote its files."""


def fingerprint(model: nn.Module, *, exact: bool = False) -> str:
    """Return the sha256 of a model's weights, in hexadecimal.

    By default the weights are cast to bf16, so that a base has one fingerprint whether it was loaded in
    fp32 or in bf16. Tied weights count once. Weights that are no floating-point numbers (a quantised
    base) are taken as they are: a quantised base is another base.

    Args:
        model: any module.
        exact: hash the raw bytes in memory with their type instead, buffers included: the proof that
            nothing was written.

    Returns:
        64 hexadecimal digits.
    """
    tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    named = list(model.state_dict(keep_vars=True).items())
    if exact:
        named += model.named_buffers()
    for name, tensor in named:
        if isinstance(tensor, torch.Tensor) and id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor.detach()
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        if not exact and tensor.is_floating_point():
            tensor = tensor.to(torch.bfloat16)
        kind = str(tensor.dtype) if exact or not tensor.is_floating_point() else "bf16"
        total.update(json.dumps([name, list(tensor.shape), kind]).encode())
        total.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def tokenizer_hash(tokenizer: Any) -> str:
    """Return the sha256 of what a tokenizer does: vocabulary, merges, special tokens, and a few probes.

    Settings that change in use (padding, truncation, NLLB's current source language) do not count.
    """
    merges: list[Any] = []
    if getattr(tokenizer, "is_fast", False):
        merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"].get("merges") or []
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in merges]
    probes = tokenizer(list(PROBES), add_special_tokens=False)["input_ids"]
    special = [[token, tokenizer.convert_tokens_to_ids(token)] for token in sorted(set(tokenizer.all_special_tokens))]
    content = [sorted(tokenizer.get_vocab().items()), merges, special, probes]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()
