"""What a training step costs with its rows spread over K adapters, against a PEFT step with one, same tokens.

- lingraft K: K learners take a step each, over all rows together; r 16 at all linears of a Llama-class base, bf16
  autocast, clip and AdamW for every learner by itself;
- peft: one PEFT adapter of the same rank and sites on the same batches, through our loss, one clip and one AdamW;
- peft whole: the same with the logits of every position, as ``model(labels=…)`` computes them;
- base: no adapter: forward, and backward as far as the embeddings' output.

All of them pack their rows in the same way, each as is cheapest for its number of adapters. K adapters share 200 rows;
then each has 8 rows of its own, beside a PEFT step over as many.

Bound: a token costs 4 · in · out FLOPs of the frozen base at a site (forward, and the gradient of its input) and
6 · r · (in + out) of its adapter, whatever K. ``adapter share`` says how many FLOPs the adapter adds. Bytes: factors
of adapters are read forward and backward, and their gradients read and written, once per batch that it has rows in;
a step reads and writes nine values a parameter (the norm, AdamW, zeros). ``bound`` is PEFT's time with what these bytes
take at the machine's bandwidth for K adapters rather than one, over PEFT's time.

    python benchmarks/train_step.py [--rounds 7] [--json OUT.json]

On a GPU:

    python benchmarks/train_step.py --device cuda --shape 8b --layers 32 --rank 3 --rows 64 --adapters 1 8 64 --each 0
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from peers import PATHS, Bare, alternate, bandwidth, parser, ratio, shaped, shapes, with_peft, write

from lingraft.atoms import AdapterName, Direction, Role, Scope
from lingraft.base import Encoded
from lingraft.delta import Routing
from lingraft.fit import Modular, Silent
from lingraft.fit.batch import collate, costs_of, losses, pack
from lingraft.fit.learner import Row
from lingraft.fit.memory import keep_freed_memory
from lingraft.fit.modular import AdapterLearner, Task
from lingraft.fit.step import train_step
from lingraft.fit.weights import side_by_side


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
    made = [
        AdapterLearner(base, Task(name, Scope.EVERYWHERE, sites, mine, mine[:1]), regime)
        for name, mine in zip(names, shares, strict=True)
    ]
    side_by_side(weights for learner in made for weights in learner.weights.values())
    return made


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
    packed = pack([data], regime.tokens, costs_of(base, learners(base, regime, data, 1)))  # type: ignore[arg-type]

    def step() -> None:
        optimizer.zero_grad()
        for members in packed:
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
    packed = pack([data], regime.tokens, costs_of(base, learners(base, regime, data, 1)))  # type: ignore[arg-type]

    def step() -> None:
        wanted = lambda module, args, output: output.requires_grad_()
        with base.model.get_input_embeddings().register_forward_hook(wanted):
            for members in packed:
                with torch.autocast(base.device.type, torch.bfloat16):
                    loss = torch.stack(losses(base, collate(base, members), regime.label_smoothing)).sum()
                loss.backward()

    return step


def main() -> None:
    options = parser(__doc__)
    shapes(options, width=1024, layers=2)
    options.add_argument("--rows", type=int, default=200)
    options.add_argument("--length", type=int, default=20)
    options.add_argument("--rank", type=int, default=16)
    options.add_argument("--each", type=int, default=8, help="rows of each adapter in the cases after; 0: none")
    options.add_argument("--adapters", type=int, nargs="+", default=[1, 8, 32, 200])
    options = options.parse_args()
    keep_freed_memory()
    base = shaped(options)
    if options.device == "cpu":
        base.model.set_attn_implementation("eager")
    regime = Modular(rank=options.rank, rows=options.rows, epochs=10**6, scope="everywhere")
    sizes = [base.shape(site) for site in base.sites]
    own = options.rank * sum(out + inn for out, inn in sizes)
    read = bandwidth(device=options.device)
    found: dict[str, dict[str, float]] = {}
    seconds: dict[str, list[float]] = {}

    def case(count: int, adapters: Sequence[int], more: bool) -> None:
        data = rows(count, 8000, options.length)
        ways: dict[str, Callable[[], object]] = {"peft": peft_step(base, regime, data, whole=False)}
        if more:
            ways |= {"peft whole": peft_step(base, regime, data, whole=True), "base": base_step(base, regime, data)}
        bytes_ = {}
        for number in adapters:
            active = learners(base, regime, data, number)
            ways[f"lingraft {number}"] = our_step(base, active)
            packed = pack([one.data for one in active], regime.tokens, costs_of(base, active))  # type: ignore[arg-type]
            touches = sum(len({i for i, _ in members}) for members in packed)
            bytes_[f"lingraft {number}"] = 4 * own * (4 * touches + 9 * number)
        times = alternate(ways, options.rounds)
        for name in ways:
            median, of_peft = (statistics.median(times[each]) for each in (name, "peft"))
            line = {"ratio": ratio(times, name, "peft")}
            if name in bytes_:
                line["bound"] = 1 + (bytes_[name] - 4 * own * 13) / read / of_peft
            found[f"{name}, {count} rows"], seconds[f"{name}, {count} rows"] = line, times[name]
            bound = f", bound {line['bound']:.2f}" if name in bytes_ else ""
            print(f"{count:5} rows, {name:14} {median:7.3f} s  {line['ratio']:5.2f} x peft{bound}", flush=True)

    case(options.rows, options.adapters, True)
    for number in options.adapters if options.each else ():
        case(options.each * number, [number], False)
    share = 6 * options.rank * sum(o + i for o, i in sizes) / (4 * sum(o * i for o, i in sizes))
    print(
        f"adapter share {share:.3f} of the base's FLOPs; {read / 1e9:.1f} GB/s; target 1.05 at any number of adapters"
    )
    ratios = {name.split(",")[0]: found[name]["ratio"] for name in found if name.endswith(f", {options.rows} rows")}
    write(options, {"ratios": ratios, "cases": found, "seconds": seconds, "target": 1.05, "adapter share": share})


def our_step(base: Any, active: Sequence[AdapterLearner]) -> Callable[[], None]:
    """Return a step of some learners."""
    routing = Routing(base)  # as in a run: what it has looked up stays

    def step() -> None:
        with routing:
            train_step(base, routing, active, Silent())

    return step


if __name__ == "__main__":
    main()
