"""What a decoding step costs with many directions in the batch, against the base alone and against PEFT.

One token of each of 32 rows passes a Llama-class base that has a cache; ways alternate in one process:

- base: no adapters;
- ours: every row its own direction, from one input and one output adapter that act everywhere;
- scoped: the same with scoped adapters, of which only the output adapter acts on generated tokens;
- resident: as ours, with the adapters of 100 languages in the bank (9,900 directions);
- peft: each direction composed beforehand into one PEFT adapter, rows by ``adapter_names``.

Bound: the base's weights are read once, in · out values a site; each distinct adapter in the batch R · (in + out).
``bytes`` is the ratio if bytes were all that counts, ``roof`` the base's measured time plus the adapters' bytes at
the bandwidth at which a large tensor is read here.

    python benchmarks/decode_step.py [--rounds 7] [--json OUT.json]
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from peers import PATHS, alternate, bandwidth, bank, fill, llama, parser, ratio, with_peft, write
from transformers import DynamicCache

from lingraft.atoms import Direction, Scope
from lingraft.delta import Plan, Route, Routing
from lingraft.direction import Recipe, compose, route

ATTENTION = ("q", "k", "v", "o")
CASES = {  # sites, rank of each role, directions, what issue and table promise
    "q,k,v,o, r 8+8, 32 directions": (ATTENTION, 8, 32, 1.2),
    "all linears, r 16+16, 8 directions": (tuple(PATHS), 16, 8, 1.3),
    "all linears, r 16+16, 32 directions": (tuple(PATHS), 16, 32, 1.6),
}
RESIDENT = 100  # languages


def stepper(model: Any, ids: torch.Tensor, before: int, **more: Any) -> Callable[[], None]:
    """Return a step of one token per row after ``before`` tokens; the cache is cut back each time."""
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(ids.repeat(1, before), past_key_values=cache, use_cache=True, **more)

    @torch.no_grad()
    def step() -> None:
        model(ids, past_key_values=cache, use_cache=True, **more)
        cache.crop(-1)

    return step


def routed(base: Any, routes: Sequence[Route], ids: torch.Tensor, before: int) -> Callable[[], None]:
    """Return a step under hooks that are set to the rows."""
    plan, step = Plan(base, routes), stepper(base.model, ids, before)

    def within() -> None:
        with Routing(base) as routing:
            routing.use(plan)
            step()

    return within


def measure(case: str, options: Any) -> dict[str, Any]:
    names, rank, count, target = CASES[case]
    base = llama(options.width, options.layers, dtype=getattr(torch, options.dtype))
    rows, ids = options.batch, torch.full((options.batch, 1), 5)
    codes = [f"l{i:02d}_Latn" for i in range(count)]
    directions = [Direction(codes[i % count], codes[(i + 1) % count]) for i in range(rows)]
    recipe, ways = Recipe(), {"base": stepper(base.model, ids, options.before)}
    held = bank(base, codes, names, rank)
    table = {where: route(held, recipe, where) for where in directions}
    ways["ours"] = routed(base, [table[where] for where in directions], ids, options.before)
    scoped = bank(base, codes, names, rank, scoped=True)
    table = {where: route(scoped, recipe, where) for where in directions}
    ways["scoped"] = routed(base, [table[where] for where in directions], ids, options.before)
    if options.resident:
        full = bank(base, codes + [f"m{i:02d}_Latn" for i in range(RESIDENT - count)], names, rank)
        table = {where: route(full, recipe, where) for where in directions}
        ways["resident"] = routed(base, [table[where] for where in directions], ids, options.before)
    if options.peft:
        unique = list(dict.fromkeys(directions))
        model = with_peft(base, names, 2 * rank, [str(where) for where in unique]).eval()
        for where in unique:
            fill(model, str(where), base, compose(held, recipe, where).updates[Scope.EVERYWHERE])
        ways["peft"] = stepper(model, ids, options.before, adapter_names=[str(where) for where in directions])
    times = alternate(ways, options.rounds)
    size = torch.finfo(base.dtype).bits // 8
    own = sum(p.numel() for p in base.model.parameters()) * size
    adapters = sum(u.A.numel() + u.B.numel() for a in held.values() for u in a.updates.values()) * size
    seconds = statistics.median(times["base"])
    found = {
        "ratios": {name: ratio(times, name, "base") for name in ways}, "seconds": times, "target": target,
        "bytes": 1 + adapters / own, "roof": 1 + adapters / options.bandwidth / seconds, "base bytes": own,
        "adapter bytes": adapters,
    }  # fmt: skip
    if options.peft:
        added = {name: found["ratios"][name] - 1 for name in ("ours", "peft")}
        found["peft added / ours added"] = added["peft"] / added["ours"]
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--width", type=int, default=1024)
    options.add_argument("--layers", type=int, default=4)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--before", type=int, default=32, help="tokens in the cache")
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options.add_argument("--case", choices=list(CASES), action="append")
    options.add_argument("--no-peft", dest="peft", action="store_false")
    options.add_argument("--no-resident", dest="resident", action="store_false")
    options = options.parse_args()
    options.bandwidth = bandwidth()
    print(f"reading: {options.bandwidth / 1e9:.1f} GB/s")
    results = {}
    for case in options.case or CASES:
        results[case] = found = measure(case, options)
        ratios = "  ".join(f"{name} {value:.2f}" for name, value in found["ratios"].items())
        print(f"{case} (target {found['target']}): {ratios}  | bytes {found['bytes']:.2f}  roof {found['roof']:.2f}")
        if options.peft:
            print(f"  PEFT adds {found['peft added / ours added']:.1f} x what we add")
    write(options, {"cases": results})


if __name__ == "__main__":
    main()
