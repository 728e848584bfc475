"""How the cost of a decoding step grows with directions in the batch, rows, rank, and languages in memory.

From one shape (q,k,v,o at r 8+8, every row its own direction), one number at a time takes other values; the ways and
the bound of each are those of ``decode_step.py``. ``plots.py`` draws what comes out.

    python benchmarks/decode_sweep.py [--rounds 5] [--json OUT.json]
"""

from __future__ import annotations

import argparse
from typing import Any

from decode_step import ATTENTION, Shape, measure, settings
from peers import bandwidth, parser, write

SWEEPS = {
    "directions": (1, 2, 4, 8, 16, 32, 64),
    "rows": (1, 4, 16, 64),
    "rank": (2, 4, 8, 16, 32, 64),
    "languages": (32, 64, 128, 256),
}


def point(what: str, value: int, options: Any) -> dict[str, Any]:
    """Measure one value of one number."""
    given = dict(vars(options))
    shape = Shape(ATTENTION, options.rank, options.batch)
    if what == "rows":
        given["batch"], shape = value, shape._replace(directions=value)
    elif what == "languages":
        given |= {"resident": value, "peft": False}
    else:
        shape = shape._replace(**{what: value})
    found = measure(shape, argparse.Namespace(**given))
    return {"at": value, "ratios": found["ratios"], "bytes": found["bytes"]}


def main() -> None:
    options = settings(parser(__doc__, rounds=5))
    options.add_argument("--rank", type=int, default=8)
    options.add_argument("--sweep", choices=list(SWEEPS), action="append")
    options = options.parse_args()
    options.bandwidth = bandwidth(device=options.device)
    sweeps: dict[str, list[dict[str, Any]]] = {}
    for what in options.sweep or SWEEPS:
        fits = {"directions": lambda v: v <= options.batch, "languages": lambda v: v >= options.batch}
        for value in filter(fits.get(what), SWEEPS[what]):
            sweeps.setdefault(what, []).append(found := point(what, value, options))
            ratios = "  ".join(f"{name} {ratio:.2f}" for name, ratio in found["ratios"].items())
            print(f"{what} {value}: {ratios}  | bytes {found['bytes']:.2f}", flush=True)
    write(options, {"sweeps": sweeps})


if __name__ == "__main__":
    main()
