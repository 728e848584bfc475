r"""What generating costs as `translate` and the service do it, with many directions in the batch, against no adapters.

Rows of random tokens are read and answered by ``Stream`` on a Llama-class base of random weights; every row its own
direction. Ways alternate in one process:

- base: no adapters;
- everywhere, scoped: one input and one output adapter a row;
- each of them once more by replays of recorded steps, where the device can (see ``direction/replay.py``).

All rows have as many tokens (``steady``), or between a half and one and a half as many (``ragged``): then rows leave
and others take their places, and steps are recorded anew.

    python benchmarks/decode_stream.py [--rounds 3] [--json OUT.json]

On a GPU, where it has not been measured yet:

    python benchmarks/decode_stream.py --device cuda --shape 8b --layers 32 --dtype bfloat16 --batch 64 --rank 3
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from peers import PATHS, alternate, bank, parser, ratio, shaped, shapes, write

from lingraft.atoms import AdapterName, Direction, Role
from lingraft.base import Encoded
from lingraft.delta import Routing
from lingraft.direction import Job, Recipe, Stream, fill, route
from lingraft.direction.replay import Record, recorder


def jobs(options: Any, routes: list[Any], ragged: bool) -> list[Job]:
    """Return jobs of random tokens, of one length or of many, that end with their budget."""
    g = torch.Generator().manual_seed(1)
    found = []
    for i in range(options.jobs * options.batch):
        low, high = (options.length // 2, options.length * 3 // 2) if ragged else (options.length, options.length + 1)
        n, budget = torch.randint(low, high, (2,), generator=g).tolist()
        ids = torch.randint(4, 8000, (n,), generator=g).tolist()
        found.append(Job(i, Encoded(tuple(ids), (2, 4), ()), routes[i % len(routes)], budget))
    return found


def way(base: Any, some: list[Job], rows: int, record: Record | None = None) -> Callable[[], None]:
    """Return what answers some jobs."""

    def turn() -> None:
        with Routing(base) as routing:
            assert sum(1 for _ in fill(Stream(base, routing, record), some, rows)) == len(some)

    return turn


def main() -> None:
    options = parser(__doc__, rounds=3)
    shapes(options, width=512, layers=4)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--jobs", type=int, default=2, help="times as many jobs as rows at once")
    options.add_argument("--length", type=int, default=32, help="tokens of a source, and of an answer")
    options.add_argument("--rank", type=int, default=16)
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options = options.parse_args()
    base = shaped(options, getattr(torch, options.dtype))
    base.format = type("Format", (), {"pad": 1, "end": -1, "decode": staticmethod(str)})()
    codes = [f"l{i:02d}_Latn" for i in range(options.batch)]
    directions = [Direction(a, b) for a, b in zip(codes, codes[1:] + codes[:1], strict=True)]
    routes: dict[str, list[Any]] = {"base": [()]}
    for name in ("everywhere", "scoped"):
        held = bank(base, codes, tuple(PATHS), options.rank, scoped=name == "scoped")
        routes[name] = [route(held, Recipe(), where) for where in directions]
    size = base.dtype.itemsize
    own = size * sum(p.numel() for p in base.model.parameters())
    one = size * sum(u.A.numel() + u.B.numel() for u in held[AdapterName(codes[0], Role.TARGET)].updates.values())
    record = recorder(base)  # type: ignore[arg-type]
    found: dict[str, Any] = {"base bytes": own, "bytes of an adapter": one, "replays": record is not None}
    for kind in ("steady", "ragged"):
        ways, some = {}, {name: jobs(options, each, kind == "ragged") for name, each in routes.items()}
        for name in routes:
            ways[name] = way(base, some[name], options.batch)
            if record is not None:
                ways[f"{name}, replayed"] = way(base, some[name], options.batch, record)
        times = alternate(ways, options.rounds)
        tokens = sum(job.budget for job in some["base"])
        found[kind] = {
            name: {
                "ratio": ratio(times, name, "base"),
                "tokens/s": tokens / statistics.median(times[name]),
                "seconds": times[name],
            }
            for name in ways
        }
        for name, each in found[kind].items():
            print(f"{kind:7} {name:25} {each['ratio']:5.2f} x base  {each['tokens/s']:9.0f} tokens/s", flush=True)
    write(options, found)


if __name__ == "__main__":
    main()
