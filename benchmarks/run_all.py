"""Run every benchmark, and print one table of what came out.

Each writes a JSON file with all its numbers into the folder. ``--quick`` makes them small: to see that they run, not to
report. Whatever else the machine does at the time shows in the ratios, so let it do nothing.

    python benchmarks/run_all.py [--quick] [--only NAME …] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TINY = ["--width", "128", "--layers", "1", "--rounds", "1"]
QUICK: dict[str, list[str]] = {  # benchmark → options of a quick run
    "decode_step": [*TINY, "--resident", "0"],
    "decode_sweep": [*TINY, "--resident", "0", "--batch", "8"],
    "train_step": [*TINY, "--rows", "16", "--adapters", "1", "8"],
    "train_many": ["--pairs", "120", "--epochs", "1"],
    "train_memory": ["--width", "128", "--layers", "1", "--rows", "8", "--vocabulary", "8000"],
    "compose_time": ["--width", "512", "--layers", "1", "--rounds", "1"],
    "joint_step": ["--width", "128", "--layers", "1", "--rounds", "1", "--rows", "32"],
}


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return what a benchmark found, a line per number or table of numbers."""
    if "cases" in found:
        return [f"{case}: {line}" for case, each in found["cases"].items() for line in lines(each)]
    if "sweeps" in found:
        at = [(what, point) for what, points in found["sweeps"].items() for point in points]
        return [f"{what} {point['at']}: {line}" for what, point in at for line in lines({"ratios": point["ratios"]})]
    made = [f"{k} {v:.2f}" for k, v in found.items() if isinstance(v, float)]
    tables = {name: found[name] for name in ("ratios", "milliseconds", "bytes") if isinstance(found.get(name), dict)}
    made += [f"{name}: " + ", ".join(f"{k} {v:.4g}" for k, v in table.items()) for name, table in tables.items()]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(QUICK), default=list(QUICK), metavar="NAME")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    failed = []
    for name in options.only:
        out = options.out / f"{name}.json"
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(out)]
        done = subprocess.run(command + (QUICK[name] if options.quick else []), capture_output=True, text=True)
        if done.returncode:
            failed.append(name)
            print(f"{name}: failed\n{done.stderr[-2000:]}", file=sys.stderr)
            continue
        for line in lines(json.loads(out.read_text())):
            print(f"{name:13} {line}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
