"""What the tests of the logit lens look at: three languages word for word, and a reference without batches."""

from __future__ import annotations

import copy
import itertools
import random
from pathlib import Path

import torch

import banks
from lingraft.atoms import Direction, Role
from lingraft.base import Base
from lingraft.corpus import TestSet
from lingraft.delta import Bank, Route, Routing
from lingraft.direction import Recipe, route

WORDS = [
    ("dog", "Hund", "chien"),
    ("water", "Kaltes", "boit"),
    ("red", "und", "grande"),
    ("sees", "trinkt", "petit"),
    ("cold", "große", "voit"),
    ("big", "Wasser", "maison"),
]
CODES = ("eng_Latn", "deu_Latn", "fra_Latn")
WHERE = Direction("deu_Latn", "fra_Latn")


def lines(count: int = 24) -> dict[str, tuple[str, ...]]:
    """The same sentences in three languages, word for word."""
    chosen = [words for size in (3, 4, 5) for words in itertools.permutations(WORDS, size)]
    random.Random(0).shuffle(chosen)
    return {code: tuple(" ".join(w[i] for w in each) for each in chosen[:count]) for i, code in enumerate(CODES)}


def parallel(count: int = 24) -> TestSet:
    """Those sentences as a test set."""
    return TestSet(lines(count), "made")


def files(folder: Path, count: int = 24) -> str:
    """Write those sentences into files and return their pattern."""
    for code, text in lines(count).items():
        (folder / f"dev.{code}.txt").write_text("".join(line + "\n" for line in text), encoding="utf-8")
    return f"{folder}/dev.{{lang}}.txt"


def shaken(base: Base, size: float = 0.3) -> Base:
    """A copy of a base with other weights, norms included."""
    other = copy.copy(base)
    other.model = copy.deepcopy(base.model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in other.model.named_parameters():
            scale = size if "norm" in name else 0.03
            weight.add_(torch.randn(weight.shape, generator=generator) * scale)
    return other


def routes(base: Base) -> dict[str, Route]:
    """Either adapter alone, and both."""
    both = [banks.adapter(base, code, role, scoped=True) for code, role in zip(WHERE, Role, strict=True)]
    chosen = {"source": both[:1], "target": both[1:], "both": both}
    return {name: route(Bank(adapters), Recipe(), WHERE) for name, adapters in chosen.items()}


def layers(base: Base, adapters: Route, row) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Hidden states [T, d] as transformers reports them, and the model's own logits [T, V], where the answer is due."""
    source, target, answer = (list(part) for part in (row.source, row.target, row.answer))
    with Routing(base) as routing, torch.no_grad():
        if base.family.kind == "decoder":
            span = torch.tensor([[True] * len(source) + [False] * (len(target) + len(answer) - 1)])
            routing.set([(adapters, 1)], span)
            out = base.model(input_ids=torch.tensor([source + target + answer[:-1]]), output_hidden_states=True)
            states, start = out.hidden_states, len(source) + len(target) - 1
        else:
            routing.set([(adapters, 1)], None)
            out = base.model(
                input_ids=torch.tensor([source]),
                decoder_input_ids=torch.tensor([target + answer[:-1]]),
                output_hidden_states=True,
            )
            states, start = out.decoder_hidden_states, len(target) - 1
    return [state[0, start:] for state in states], out.logits[0, start:]


def own_logits(base: Base, state: torch.Tensor) -> torch.Tensor:
    """Norm and unembedding by their formulas, in float64."""
    x, config = state.double(), base.model.config.get_text_config()
    if base.family.kind == "seq2seq":
        norm = base.model.model.decoder.layer_norm
        centred = x - x.mean(-1, keepdim=True)
        x = centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt()
        x = x * norm.weight.double() + norm.bias.double()
    else:
        weight = base.model.get_decoder().norm.weight.double()
        x = x / (x.square().mean(-1, keepdim=True) + config.rms_norm_eps).sqrt()
        x = x * (1 + weight if config.model_type.startswith("gemma3") else weight)
    logits = x @ base.model.get_output_embeddings().weight.double().T
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)
