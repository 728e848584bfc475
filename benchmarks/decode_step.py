r"""What a decoding step costs with many directions in the batch, against the base alone and against PEFT.

One token of each of 32 rows passes a Llama-class base that has a cache; ways alternate in one process:

- base: no adapters;
- ours: every row its own direction, from one input and one output adapter that act everywhere;
- scoped: the same with scoped adapters, of which only the output adapter acts on generated tokens;
- resident: as ours, with the adapters of 100 languages in the bank (9,900 directions);
- peft: each direction composed beforehand into one PEFT adapter, rows by ``adapter_names``.

Bound: the base's weights are read once, in · out values a site; each distinct adapter in the batch R · (in + out).
``bytes`` is the ratio if bytes were all that counts, ``roof`` the base's measured time plus the adapters' bytes at
the bandwidth at which a large tensor is read here.

    python benchmarks/decode_step.py [--rounds 11] [--json OUT.json]

On a GPU, with the kernels beside each other; ``--graph`` replays a captured step, so that kernels alone are timed:

    python benchmarks/decode_step.py --device cuda --shape 8b --layers 32 --dtype bfloat16 --batch 64 --steps 8 \
        --case "all linears, r 3+3, 64 directions" --kernel fused grouped --graph --no-peft --json OUT.json
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from peers import PATHS, alternate, bandwidth, bank, fill, parser, ratio, shaped, shapes, with_peft, write
from transformers import DynamicCache

from lingraft.atoms import AdapterName, Direction, Role, Scope
from lingraft.delta import Plan, Route, Routing
from lingraft.delta.kernels import KERNELS
from lingraft.direction import Recipe, compose, route

ATTENTION = ("q", "k", "v", "o")
ALL = tuple(PATHS)


class Shape(NamedTuple):
    """What passes, and what it carries."""

    names: tuple[str, ...]  # sites
    rank: int  # of each of the two roles
    directions: int
    target: float | None = None  # ratio to the base that is promised


CASES = {
    "q,k,v,o, r 8+8, 32 directions": Shape(ATTENTION, 8, 32, 1.2),
    "all linears, r 16+16, 8 directions": Shape(ALL, 16, 8, 1.3),
    "all linears, r 16+16, 32 directions": Shape(ALL, 16, 32, 1.6),
    "all linears, r 3+3, 64 directions": Shape(ALL, 3, 64, 1.2),  # at 8B, 0.1 % of the parameters an adapter
}


def stepper(model: Any, ids: torch.Tensor, options: Any, **more: Any) -> Callable[[int], None]:
    """Return what lets one token per row pass after ``--before`` tokens, so many times; the cache is cut back."""
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(ids.repeat(1, options.before), past_key_values=cache, use_cache=True, **more)

    @torch.no_grad()
    def step(times: int) -> None:
        for _ in range(times):
            model(ids, past_key_values=cache, use_cache=True, **more)
            cache.crop(-1)

    return step


def routed(
    base: Any, routes: Sequence[Route], ids: torch.Tensor, options: Any, kernel: str | None = None
) -> Callable[[int], None]:
    """Return steps under hooks that are set to the rows."""
    plan, step = Plan(base, routes), stepper(base.model, ids, options)

    def within(times: int) -> None:
        with Routing(base, kernel) as routing:
            routing.use(plan)
            step(times)

    return within


def turn(step: Callable[[int], None], options: Any) -> Callable[[], None]:
    """Return a turn of a way: ``--steps`` tokens, one after the other or as replays of a captured one."""
    if not options.graph:
        return lambda: step(options.steps)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        step(2)  # what is made once is made before
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(1)

    def replay(kept: Callable[[int], None] = step) -> None:  # the graph reads what the step holds
        for _ in range(options.steps):
            graph.replay()

    return replay


def measure(shape: Shape, options: Any) -> dict[str, Any]:
    """Return the times of all ways for a shape, and what its bounds are."""
    names, rank, count, target = shape
    dtype, rows = getattr(torch, options.dtype), options.batch
    base = shaped(options, dtype)
    ids = torch.full((rows, 1), 5, device=options.device)
    codes = [f"l{i:02d}_Latn" for i in range(max(count, 2))]
    directions = [Direction(codes[i % count], codes[(i % count + 1) % len(codes)]) for i in range(rows)]
    recipe, ways = Recipe(), {"base": turn(stepper(base.model, ids, options), options)}
    held = bank(base, codes, names, rank)
    routes = lambda bank: list(map({where: route(bank, recipe, where) for where in directions}.get, directions))
    ways["ours"] = turn(routed(base, routes(held), ids, options), options)
    for kernel in options.kernel:
        ways[f"ours, {kernel}"] = turn(routed(base, routes(held), ids, options, kernel), options)
    scoped = bank(base, codes, names, rank, scoped=True)
    ways["scoped"] = turn(routed(base, routes(scoped), ids, options), options)
    if options.resident:
        full = bank(base, codes + [f"m{i:02d}_Latn" for i in range(options.resident - count)], names, rank)
        ways["resident"] = turn(routed(base, routes(full), ids, options), options)
    if options.peft:
        unique = list(dict.fromkeys(directions))
        model = with_peft(base, names, 2 * rank, [str(where) for where in unique]).eval()
        for where in unique:
            fill(model, str(where), base, compose(held, recipe, where).updates[Scope.EVERYWHERE])
        ways["peft"] = turn(stepper(model, ids, options, adapter_names=[str(where) for where in directions]), options)
    times = alternate(ways, options.rounds)
    size = torch.finfo(base.dtype).bits // 8
    own = sum(p.numel() for p in base.model.parameters()) * size
    there = {
        name for d in directions for name in (AdapterName(d.source, Role.SOURCE), AdapterName(d.target, Role.TARGET))
    }
    adapters = sum(u.A.numel() + u.B.numel() for name in there for u in held[name].updates.values()) * size
    seconds, ours = (statistics.median(times[name]) / options.steps for name in ("base", "ours"))
    found = {
        "ratios": {name: ratio(times, name, "base") for name in ways}, "seconds": times, "target": target,
        "bytes": 1 + adapters / own, "roof": 1 + adapters / options.bandwidth / seconds, "base bytes": own,
        "adapter bytes": adapters, "read GB/s": (own + adapters) / ours / 1e9,
    }  # fmt: skip
    if options.peft:
        added = {name: found["ratios"][name] - 1 for name in ("ours", "peft")}
        found["peft added / ours added"] = added["peft"] / added["ours"]
    return found


def settings(options: ArgumentParser) -> ArgumentParser:
    """Add what can be set of the base and the batch."""
    shapes(options, width=1024, layers=4)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--before", type=int, default=32, help="tokens in the cache")
    options.add_argument("--steps", type=int, default=8, help="tokens of a turn; more where hooking them costs as much")
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options.add_argument("--kernel", nargs="*", default=[], choices=list(KERNELS), help="ways of their own")
    options.add_argument("--graph", action="store_true", help="CUDA graphs of all ways, of which PEFT has none")
    options.add_argument("--no-peft", dest="peft", action="store_false")
    options.add_argument("--resident", type=int, default=100, help="languages in the bank; 0: leave that way out")
    return options


def main() -> None:
    options = settings(parser(__doc__, rounds=11))
    options.add_argument("--case", choices=list(CASES), action="append", help="default: those with as many rows")
    options = options.parse_args()
    options.bandwidth = bandwidth(device=options.device)
    print(f"reading: {options.bandwidth / 1e9:.1f} GB/s")
    results = {}
    for case in options.case or [case for case, shape in CASES.items() if shape.directions <= options.batch]:
        results[case] = found = measure(CASES[case], options)
        ratios = "  ".join(f"{name} {value:.2f}" for name, value in found["ratios"].items())
        print(f"{case} (target {found['target']}): {ratios}  | bytes {found['bytes']:.2f}  roof {found['roof']:.2f}")
        print(f"  ours reads {found['read GB/s']:.1f} GB/s")
        if options.peft:
            print(f"  PEFT adds {found['peft added / ours added']:.1f} x what we add")
    write(options, {"cases": results})


if __name__ == "__main__":
    main()
