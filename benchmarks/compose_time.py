"""Composing a direction at the shapes of an 8B Llama, all linears, against PEFT's exact way (``cat``).

- route: what serving does: references to the two adapters and their weights, nothing copied;
- compose: one update per site of the summed rank, as for export: the adapters' values are copied once;
- peft cat: ``add_weighted_adapter(combination_type="cat")``, which adds modules to the model and copies as well.

Bound: a route reads no value. Composing writes 2r · (in + out) values a site, at the machine's bandwidth. The base
takes no part, so only ``--layers`` of the 32 are made for PEFT, and its seconds are multiplied up.

    python benchmarks/compose_time.py [--rounds 5] [--json OUT.json]
"""

from __future__ import annotations

import statistics

import torch
from peers import PATHS, alternate, bandwidth, bank, parser, ratio, with_peft, write
from peers import Bare as Base
from transformers import LlamaConfig, LlamaForCausalLM

from lingraft.atoms import Direction
from lingraft.direction import Recipe, compose, route

LAYERS = 32


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--layers", type=int, default=2, help="layers that are really made, of 32")
    options.add_argument("--width", type=int, default=4096)
    options.add_argument("--rank", type=int, default=16)
    options = options.parse_args()
    d = options.width
    config = LlamaConfig(
        vocab_size=256, hidden_size=d, intermediate_size=d * 7 // 2, num_hidden_layers=options.layers,
        num_attention_heads=d // 128, num_key_value_heads=d // 512, tie_word_embeddings=True, dtype=torch.bfloat16,
    )  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    base = Base(model.to_empty(device="cpu").to(torch.bfloat16), "llama")
    held = bank(base, ["deu_Latn", "fra_Latn"], tuple(PATHS), options.rank)
    where, recipe = Direction("deu_Latn", "fra_Latn"), Recipe()
    peft = with_peft(base, tuple(PATHS), options.rank, ["in", "out"]).to(torch.bfloat16)

    def cat() -> None:
        peft.add_weighted_adapter(["in", "out"], [1.0, 1.0], "both", combination_type="cat")
        peft.delete_adapter("both")

    ways = {"route": lambda: route(held, recipe, where), "compose": lambda: compose(held, recipe, where),
            "peft cat": cat}  # fmt: skip
    times = alternate(ways, options.rounds)
    scale = LAYERS / options.layers
    values = sum(u.A.numel() + u.B.numel() for a in held.values() for u in a.updates.values()) / 2
    bound = 2 * values * 2 * 2 * scale / bandwidth()  # bf16; read and written; both adapters of the direction
    milliseconds = {name: statistics.median(times[name]) * scale * 1e3 for name in ways}
    for name, value in milliseconds.items():
        print(f"{name:9} {value:9.2f} ms for {LAYERS} layers; 1/{ratio(times, 'peft cat', name):.1f} of peft cat")
    print(f"copying the two adapters at this machine's bandwidth: {bound * 1e3:.1f} ms; target of a route: 1 ms")
    write(options, {"milliseconds": milliseconds, "seconds": times, "bound ms": bound * 1e3, "target ms": 1.0})


if __name__ == "__main__":
    main()
