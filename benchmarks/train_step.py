"""What a training step costs with its rows spread over K adapters, against a PEFT step with one, same tokens.

- lingraft K: K learners take a step each, over all rows together; r 16 at all linears of a Llama-class base, bf16
  autocast, clip and AdamW for every learner by itself;
- peft: one PEFT adapter of the same rank and sites on the same batches, through our loss, one clip and one AdamW;
- peft whole: the same with the logits of every position, as ``model(labels=…)`` computes them;
- base: no adapter: forward, and backward as far as the embeddings' output.

Bound: a token costs 4 · in · out FLOPs of the frozen base at a site (forward, and the gradient of its input) and
6 · r · (in + out) of its adapter, whatever K. Bytes: an adapter's factors and their gradients are read and written
once per batch that it has rows in, so the more adapters, the fewer tokens share a read; and an optimiser step reads
and writes six values a parameter. ``adapter share`` says how many FLOPs the adapter adds.

    python benchmarks/train_step.py [--rounds 7] [--json OUT.json]

On a GPU, where it has not been measured yet:

    python benchmarks/train_step.py --device cuda --shape 8b --layers 32 --rank 3 --adapters 1 8 64 --json OUT.json
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from peers import PATHS, Bare, alternate, llama, llama_8b, parser, ratio, with_peft, write

from lingraft.atoms import AdapterName, Direction, Role, Scope
from lingraft.base import Encoded
from lingraft.delta import Routing
from lingraft.fit import Modular, Silent
from lingraft.fit.batch import collate, losses, pack
from lingraft.fit.learner import Row
from lingraft.fit.loop import train_step
from lingraft.fit.memory import keep_freed_memory
from lingraft.fit.modular import AdapterLearner, Task


def rows(count: int, vocabulary: int, length: int) -> list[Row]:
    """Rows of random tokens, of lengths around ``length`` on each side."""
    g = torch.Generator().manual_seed(1)
    found = []
    for _ in range(count):
        n, m = torch.randint(length // 2, length * 3 // 2, (2,), generator=g).tolist()
        ids = torch.randint(4, vocabulary, (n + m,), generator=g).tolist()
        found.append(Row(Direction("eng_Latn", "deu_Latn"), Encoded(tuple(ids[:n]), (2, 4), tuple(ids[n:]))))
    return found


def learners(base: Any, regime: Modular, data: Sequence[Row], count: int) -> list[AdapterLearner]:
    """Return learners that share the rows as evenly as may be; each sees all of its own in every step."""
    names = [AdapterName(f"l{i:03d}_Latn", Role.TARGET) for i in range(count)]
    shares = [list(data[i * len(data) // count : (i + 1) * len(data) // count]) for i in range(count)]
    sites = tuple(base.sites)
    return [
        AdapterLearner(base, Task(name, Scope.EVERYWHERE, sites, mine, mine[:1]), regime)
        for name, mine in zip(names, shares, strict=True)
    ]


def peft_step(
    base: Bare, regime: Modular, data: Sequence[Row], whole: bool, recompute: bool = False
) -> Callable[[], None]:
    """Return a step of one PEFT adapter over all rows."""
    wrapped = with_peft(base, tuple(PATHS), regime.rank, ["only"]).train()
    if recompute:
        wrapped.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    bare = Bare.__new__(Bare)
    bare.__dict__.update(base.__dict__, model=wrapped.get_base_model())
    trained = [p for p in wrapped.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.98), weight_decay=0)
    total = sum(len(row.text.answer) for row in data)

    def step() -> None:
        optimizer.zero_grad()
        for members in pack([data], regime.tokens):
            batch = collate(bare, members)
            with torch.autocast(base.device.type, torch.bfloat16):
                if whole:
                    labels = torch.nn.functional.pad(batch.labels, (1, 0), value=-100)[:, :-1]
                    loss = wrapped(input_ids=batch.ids, labels=labels, num_items_in_batch=total).loss
                else:
                    loss = torch.stack(losses(bare, batch, regime.label_smoothing)).sum() / total
            loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    return step


def base_step(base: Bare, regime: Modular, data: Sequence[Row]) -> Callable[[], None]:
    """Return what a step passes of the base alone; nothing is trained."""

    def step() -> None:
        wanted = lambda module, args, output: output.requires_grad_()
        with base.model.get_input_embeddings().register_forward_hook(wanted):
            for members in pack([data], regime.tokens):
                with torch.autocast(base.device.type, torch.bfloat16):
                    loss = torch.stack(losses(base, collate(base, members), regime.label_smoothing)).sum()
                loss.backward()

    return step


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--width", type=int, default=1024)
    options.add_argument("--layers", type=int, default=2)
    options.add_argument("--rows", type=int, default=200)
    options.add_argument("--length", type=int, default=20)
    options.add_argument("--rank", type=int, default=16)
    options.add_argument("--adapters", type=int, nargs="+", default=[1, 8, 32, 200])
    options.add_argument("--shape", choices=["llama", "8b"], default="llama", help="8b: the shapes of Llama 3 8B")
    options.add_argument("--device", default="cpu")
    options = options.parse_args()
    keep_freed_memory()
    if options.shape == "8b":
        base = llama_8b(options.layers, device=options.device)
    else:
        base = llama(options.width, options.layers, device=options.device)
    base.model.set_attn_implementation("eager")
    data = rows(options.rows, 8000, options.length)
    regime = Modular(rank=options.rank, rows=options.rows, epochs=10**6, scope="everywhere")
    ways: dict[str, Callable[[], object]] = {
        "peft": peft_step(base, regime, data, whole=False),
        "peft whole": peft_step(base, regime, data, whole=True),
        "base": base_step(base, regime, data),
    }

    def ours(active: Sequence[Any]) -> Callable[[], None]:
        def step() -> None:
            with Routing(base) as routing:  # type: ignore[arg-type]
                train_step(base, routing, active, Silent())  # type: ignore[arg-type]

        return step

    for count in options.adapters:
        ways[f"lingraft {count}"] = ours(learners(base, regime, data, count))
    times = alternate(ways, options.rounds)
    ratios = {name: ratio(times, name, "peft") for name in ways}
    shapes = [base.shape(site) for site in base.sites]
    share = 6 * options.rank * sum(o + i for o, i in shapes) / (4 * sum(o * i for o, i in shapes))
    for name, value in ratios.items():
        print(f"{name:14} {sorted(times[name])[len(times[name]) // 2]:7.3f} s  {value:5.2f} x peft")
    print(f"adapter share {share:.3f} of the base's FLOPs; target 1.05 at every number of adapters")
    write(options, {"ratios": ratios, "seconds": times, "target": 1.05, "adapter share": share})


if __name__ == "__main__":
    main()
