"""What the benchmarks share: random bases and banks, PEFT models over the same weights, alternating timing, JSON."""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, M2M100Config, M2M100ForConditionalGeneration

from lingraft.atoms import Role, Scope, Site
from lingraft.base.families import family_of, find_sites
from lingraft.delta import Adapter, Bank, Update

PATHS = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
}  # fmt: skip


class Bare:
    """A base of random weights without a tokenizer: token ids are made up."""

    def __init__(self, model: Any, family: str) -> None:
        """Freeze a model of a family's class and find its sites."""
        self.id = "random"
        self.model = model.eval().requires_grad_(False)
        self.family = family_of(family)
        self.sites = find_sites(model, self.family, model.config)
        self.device = next(model.parameters()).device
        self.dtype = next(model.parameters()).dtype
        self.format = type("Format", (), {"pad": 1})()
        self.borrowed: dict[str, str] = {}

    def module(self, site: Site) -> Any:
        """Return the linear map at a site."""
        return self.model.get_submodule(self.sites[site])

    def embedding(self, role: Role) -> str:
        """Return the path of the embedding that reads a role's language token."""
        return f"model.{'encoder' if role is Role.SOURCE else 'decoder'}.embed_tokens"

    def shape(self, site: Site) -> tuple[int, int]:
        """Return (output, input) features at a site."""
        module = self.module(site)
        return module.out_features, module.in_features


def llama(d: int, layers: int, vocabulary: int = 8000, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Bare:
    """A Llama-class base: feed-forward of 8/3 · d as in Llama 2, heads of 64."""
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=d, intermediate_size=-(-8 * d // 3 // 64) * 64, num_hidden_layers=layers,
        num_attention_heads=d // 64, num_key_value_heads=d // 64, tie_word_embeddings=True,
    )  # fmt: skip
    return Bare(_made(config, dtype, device), "llama")


def llama_8b(layers: int = 32, dtype: torch.dtype = torch.bfloat16, device: str = "cpu") -> Bare:
    """A base of the shapes of Llama 3 8B, made where it will be."""
    config = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=layers, num_attention_heads=32,
        num_key_value_heads=8, tie_word_embeddings=True,
    )  # fmt: skip
    return Bare(_made(config, dtype, device), "llama")


def _made(config: LlamaConfig, dtype: torch.dtype, device: str) -> LlamaForCausalLM:
    """A model that was never larger, nor elsewhere, than it is: peaks of memory are measured above it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)


def m2m(d: int, layers: int, vocabulary: int) -> Bare:
    """An M2M-100-class base."""
    config = M2M100Config(
        vocab_size=vocabulary, d_model=d, encoder_layers=layers, decoder_layers=layers, encoder_ffn_dim=4 * d,
        decoder_ffn_dim=4 * d, encoder_attention_heads=8, decoder_attention_heads=8, attn_implementation="eager",
    )  # fmt: skip
    return Bare(M2M100ForConditionalGeneration(config), "m2m_100")


def bank(base: Bare, languages: Sequence[str], names: Sequence[str], rank: int, scoped: bool = False) -> Bank:
    """Random adapters of both roles for each language, at the sites of these names."""
    g = torch.Generator(base.device).manual_seed(1)
    adapters = []
    for language in languages:
        for role in Role:
            updates = {}
            for site in base.sites:
                if site.name in names:
                    out, inn = base.shape(site)
                    draw = lambda *shape: torch.randn(*shape, generator=g, device=base.device)
                    a, b = draw(rank, inn) / inn**0.5, draw(out, rank) * 0.01
                    updates[site] = Update(a.to(base.dtype), b.to(base.dtype))
            scope = (Scope.SOURCE if role is Role.SOURCE else Scope.TARGET) if scoped else Scope.EVERYWHERE
            adapters.append(Adapter(language, role, scope, updates))
    return Bank(adapters)


def twin(model: Any) -> Any:
    """A copy of the modules over the same weights, for a library that replaces modules."""
    return copy.deepcopy(model, {id(p): p for p in model.parameters()})


def with_peft(base: Bare, names: Sequence[str], rank: int, adapters: Sequence[str]) -> PeftModel:
    """A PEFT model over the base's weights with fresh adapters of these names; α = r."""
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=[PATHS[name].split(".")[-1] for name in names])
    model: Any = get_peft_model(twin(base.model), config, adapter_name=adapters[0])
    for name in adapters[1:]:
        model.add_adapter(name, config)
    return model


def fill(model: PeftModel, name: str, base: Bare, updates: Mapping[Site, Update]) -> None:
    """Give a PEFT adapter the values of composed updates."""
    inner = model.get_base_model()
    for site, update in updates.items():
        module = inner.get_submodule(base.sites[site])
        module.lora_A[name].weight.data.copy_(update.A)
        module.lora_B[name].weight.data.copy_(update.B * update.scale)


def alternate(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run each way once per round, in turn; return seconds. The first round warms up and is not counted.

    On one thread they are of its own processor time, so that other work on the machine does not count.
    """
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    clock = time.thread_time if alone else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = clock()
            way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:
                times[name].append(clock() - start)
    return times


def ratio(times: Mapping[str, Sequence[float]], name: str, to: str) -> float:
    """The median over rounds of one way's seconds to another's in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[to], strict=True))


def bandwidth(megabytes: int = 256, device: str = "cpu") -> float:
    """Bytes per second at which a large tensor is read on a device; the best of a few reads."""
    values = torch.ones(megabytes * 2**18, device=device)
    return values.numel() * 4 / min(alternate({"read": values.sum}, 5)["read"])


def parser(description: str | None, rounds: int = 7) -> argparse.ArgumentParser:
    """Options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=rounds, help="alternating rounds; medians are reported")
    made.add_argument("--json", type=Path, help="file for all numbers")
    return made


def shapes(options: argparse.ArgumentParser, width: int, layers: int) -> None:
    """Add the options of a base's shape and place; see ``shaped``."""
    options.add_argument("--shape", choices=["llama", "8b"], default="llama", help="8b: the shapes of Llama 3 8B")
    options.add_argument("--width", type=int, default=width)
    options.add_argument("--layers", type=int, default=layers)
    options.add_argument("--device", default="cpu")


def shaped(options: argparse.Namespace, dtype: torch.dtype | None = None) -> Bare:
    """A base as the options ask for; without a type in fp32, at 8B shapes in bf16."""
    if options.shape == "8b":
        return llama_8b(options.layers, dtype or torch.bfloat16, options.device)
    return llama(options.width, options.layers, dtype=dtype or torch.float32, device=options.device)


def write(options: argparse.Namespace, found: Mapping[str, Any]) -> None:
    """Write the numbers with what they were measured on, where a file is asked for."""
    if options.json:
        settings = {key: value for key, value in vars(options).items() if key != "json"}
        machine = {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.platform()}
        if torch.cuda.is_available():
            machine["gpu"] = torch.cuda.get_device_name()
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**found, "settings": settings, **machine}, indent=1, default=str) + "\n")
