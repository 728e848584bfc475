"""Write the tables and pictures of docs/results/modular.md from the results of runs/modular.sh."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lingraft.atoms.languages import name
from lingraft.measure import Results, bars_svg, heatmap_svg

ENGLISH = "eng_Latn"


def main() -> None:
    """Print Markdown to standard output, and write pictures and JSON beside the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder that runs/modular.sh wrote")
    parser.add_argument("docs", type=Path, help="docs/results")
    args = parser.parse_args()
    files = {
        "span, bridged rows": "bridged.json",
        "span, bridged rows, steps of 64 rows": "bridged-64.json",
        "span": "span.json",
        "everywhere": "everywhere.json",
        "everywhere, best ratio": "everywhere-best.json",
    }
    paths = {label: args.out / file for label, file in files.items()}
    runs = {label: Results.from_json(path.read_text()) for label, path in paths.items() if path.exists()}
    best = runs["span, bridged rows"]
    groups = [run.summary["without_pivot"] for run in runs.values()]
    best_pivot = max(group["pivot"]["chrf++"] for group in groups if "pivot" in group)

    print("| adapters act | via | chrF++ | BLEU | off target | share of the best pivot |")
    print("|---|---|---|---|---|---|")
    for number, (label, run) in enumerate(runs.items()):
        for via, row in run.summary["without_pivot"].items():
            if via == "base" and number:  # the same in every run
                continue
            share = 100 * row["chrf++"] / best_pivot
            act = "(base alone)" if via == "base" else label
            numbers = f"{row['chrf++']:.1f} | {row['bleu']:.1f} | {row['off_target']:.1f} %"
            print(f"| {act} | {via} | {numbers} | {share:.0f} % |")
    print("\n| from ↓ to → | " + " | ".join(name(code) for code in best.languages) + " |")
    print("|---" * (len(best.languages) + 1) + "|")
    for source in best.languages:
        cells = []
        for target in best.languages:
            rows = [best.row(source, target, via) for via in ("direct", "pivot", "base")]
            cells.append(" / ".join(f"{row.chrf:.1f}" for row in rows if row) or "·")
        print(f"| {name(source)} | " + " | ".join(cells) + " |")
    around = [
        (row.source, row.target) for row in best.rows if row.via == "direct" and ENGLISH not in (row.source, row.target)
    ]
    (args.docs / "modular-heatmap.svg").write_text(heatmap_svg(best, "direct"), encoding="utf-8")
    (args.docs / "modular-bars.svg").write_text(bars_svg(best, around), encoding="utf-8")
    kept = {label: json.loads(run.to_json()) for label, run in runs.items()}
    (args.docs / "modular.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
