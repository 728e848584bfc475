"""Draw what the benchmarks found: cost against the number of adapters, languages, rows, and against the rank.

Reads the JSON files that are there (``decode_sweep.json``, ``train_step.json``) and writes an SVG beside them for each
curve. A dashed line is the bound of bytes, where the file has it.

    python benchmarks/plots.py [--results benchmarks/results] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from lingraft.measure.picture import svg, text

COLOURS = {
    "ours": "#2b74b8", "scoped": "#2f8f63", "resident": "#8a63b8", "peft": "#c26a14", "peft whole": "#a8433f",
    "bytes": "#7d838c",
}  # fmt: skip
NAMES = {"bytes": "bytes alone", "peft": "PEFT", "peft whole": "PEFT, whole logits"}
SPARE = ("#a8433f", "#6b7f1d", "#1d7f86")  # of ways without a colour of their own
LEFT, TOP, WIDE, HIGH = 56, 74, 380, 220  # of the plot within the picture, in units of its view box


class Curves(NamedTuple):
    """One picture: for each way its points (x, y)."""

    title: str
    x: str
    y: str
    ways: Mapping[str, Sequence[tuple[float, float]]]


def decode_curves(found: Mapping[str, Any]) -> dict[str, Curves]:
    """Return the curves of a sweep over decoding steps, by the name of their file."""
    axes = {"directions": "directions in the batch", "rows": "rows, each its own direction", "rank": "rank of a role",
            "languages": "languages in memory"}  # fmt: skip
    made = {}
    for what, points in found["sweeps"].items():
        names = [name for name in points[0]["ratios"] if name != "base"]
        ways = {name: [(p["at"], p["ratios"][name]) for p in points] for name in names}
        ways["bytes"] = [(p["at"], p["bytes"]) for p in points]
        made[f"decode_{what}"] = Curves("A decoding step", axes[what], "× the base", ways)
    return made


def train_curves(found: Mapping[str, Any]) -> dict[str, Curves]:
    """Return the curve of a training step over the number of adapters in it; PEFT has one whatever the number."""
    ratios = found["ratios"]
    ours = sorted((int(name.split()[1]), value) for name, value in ratios.items() if name.startswith("lingraft "))
    flat = {name: [(k, ratios[name]) for k, _ in ours] for name in ("peft", "peft whole") if name in ratios}
    return {"train_adapters": Curves("A training step", "adapters in the batch", "× PEFT", {"ours": ours, **flat})}


def ticks(high: float) -> list[float]:
    """Return the marks of an axis from 0 to at least ``high``: four to eight round numbers."""
    step = next(s * 10.0**e for e in range(-3, 7) for s in (1, 2, 5) if high / (s * 10.0**e) <= 7)
    return [step * i for i in range(math.ceil(high / step - 1e-9) + 1)]


def curves_svg(curves: Curves, *, standalone: bool = True) -> str:
    """Draw curves over a logarithmic axis; hovering over a point shows its numbers."""
    points = [point for way in curves.ways.values() for point in way]
    xs = sorted({x for x, _ in points})
    marks = ticks(max(y for _, y in points))
    span = math.log(xs[-1] / xs[0]) or 1.0
    across = lambda x: LEFT + WIDE * (math.log(x / xs[0]) / span if len(xs) > 1 else 0.5)
    up = lambda y: TOP + HIGH * (1 - y / marks[-1])
    parts = [
        text(LEFT, 20, curves.title, size=15, weight=600),
        text(LEFT - 8, TOP - 12, curves.y, size=11, opacity=0.7),
    ]
    for mark in marks:
        strong = 0.5 if mark in (0, 1) else 0.14  # 1: as much as the peer
        line = f'x1="{LEFT}" x2="{LEFT + WIDE}" y1="{up(mark):.1f}" y2="{up(mark):.1f}"'
        parts.append(f'<line {line} stroke="currentColor" opacity="{strong}"/>')
        parts.append(text(LEFT - 8, up(mark) + 4, f"{mark:g}", size=12, anchor="end"))
    parts += [text(across(x), TOP + HIGH + 18, f"{x:g}", size=12, anchor="middle") for x in xs]
    parts.append(text(LEFT + WIDE / 2, TOP + HIGH + 38, curves.x, size=12, anchor="middle", opacity=0.7))
    spare, at = iter(SPARE * len(curves.ways)), float(LEFT)
    for name, way in curves.ways.items():
        colour, shown = COLOURS.get(name) or next(spare), NAMES.get(name, name)
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in way)
        dash = ' stroke-dasharray="5 4"' if name == "bytes" else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts += [
            f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.5" fill="{colour}">'
            f"<title>{escape(f'{shown}, {curves.x} {x:g}: {y:.2f} {curves.y}')}</title></circle>"
            for x, y in way
        ]
        parts.append(f'<rect x="{at:g}" y="32" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(text(at + 17, 43, shown, size=12))
        at += 32 + 6.6 * len(shown)
    return svg(max(LEFT + WIDE + 24, at), TOP + HIGH + 48, f"{curves.title}: {curves.y}", parts, standalone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--out", type=Path, help="default: the folder of the results")
    options = parser.parse_args()
    out = options.out or options.results
    out.mkdir(parents=True, exist_ok=True)
    for file, draw in (("decode_sweep", decode_curves), ("train_step", train_curves)):
        path = options.results / f"{file}.json"
        if not path.exists():
            print(f"{path} is missing: python benchmarks/{file}.py --json {path}")
            continue
        for name, curves in draw(json.loads(path.read_text())).items():
            (out / f"{name}.svg").write_text(curves_svg(curves) + "\n")
            print(out / f"{name}.svg")


if __name__ == "__main__":
    main()
