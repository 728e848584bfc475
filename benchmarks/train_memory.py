"""Peak memory of training one adapter on a d 2048 base, against a PEFT step as HF's Trainer takes it.

Each way runs in a process of its own, and its highest resident memory is what counts:

- base: the weights alone;
- lingraft: our step: logits of answers alone, some at a time;
- recompute: the same with ``fit.recompute``;
- peft: the model's own loss over the logits of all positions, as Trainer calls it;
- peft recompute: the same with ``gradient_checkpointing_enable``.

Bound: weights, the adapter with its gradient and two moments, and one hidden state per layer; what lies above that is
activations and logits. A batch of n positions has n · vocabulary logits, four bytes each, and their gradient.

    python benchmarks/train_memory.py [--json OUT.json]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import torch
from peers import llama, parser, write
from train_step import learners, peft_step, rows

from lingraft.delta import Routing
from lingraft.fit import Modular, Silent
from lingraft.fit.recompute import recomputing
from lingraft.fit.step import train_step

WAYS = ("base", "lingraft", "recompute", "peft", "peft recompute")


def peak(way: str, options: Any) -> int:
    """Take two steps one way and return the highest resident memory in bytes."""
    base = llama(options.width, options.layers, options.vocabulary, torch.bfloat16)
    data = rows(options.rows, options.vocabulary, options.length)
    regime = Modular(rank=16, rows=options.rows, epochs=10**6, scope="everywhere")
    if way in ("lingraft", "recompute"):
        active = learners(base, regime, data, 1)
        with recomputing(base, way == "recompute"), Routing(base) as routing:  # type: ignore[arg-type]
            for _ in range(2):
                train_step(base, routing, active, Silent())  # type: ignore[arg-type]
    elif way != "base":
        step = peft_step(base, regime, data, whole=True, recompute=way == "peft recompute")
        for _ in range(2):
            step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--width", type=int, default=2048)
    options.add_argument("--layers", type=int, default=4)
    options.add_argument("--vocabulary", type=int, default=128_000)
    options.add_argument("--rows", type=int, default=64)
    options.add_argument("--length", type=int, default=30)
    options.add_argument("--way", choices=WAYS, help="run this one in this process, and print its bytes")
    options = options.parse_args()
    if options.way:
        print(peak(options.way, options))
        return
    found = {}
    for way in WAYS:
        given = [word for name in ("width", "layers", "vocabulary", "rows", "length")
                 for word in (f"--{name}", str(getattr(options, name)))]  # fmt: skip
        done = subprocess.run(
            [sys.executable, __file__, "--way", way, *given], capture_output=True, text=True, check=True
        )
        found[way] = int(json.loads(done.stdout.split()[-1]))
        print(f"{way:15} {found[way] / 1e6:8.0f} MB, {(found[way] - found['base']) / 1e6:8.0f} MB above the weights")
    write(options, {"bytes": found, "target": "lingraft at most peft"})


if __name__ == "__main__":
    main()
