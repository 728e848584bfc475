"""Write docs/results/lslo.md (tables), lslo.json and the pictures from the results of runs/lslo.py.

What stands in lslo.md around the two marks is kept, so that prose can be written there.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lslo_data import CLASSES, class_of
from lslo_picture import in_order, indexing_svg, paper_of
from lslo_systems import texts
from report_document import put, table

from lingraft.atoms import Direction
from lingraft.atoms.languages import name as language_name
from lingraft.measure.classes import ALL, Difference, Resampled, differences, resample
from lingraft.probe import Survival, survival_svg

TITLES = {
    "base": "base alone",
    "full": "full fine-tuning",
    "body": "the same, embeddings frozen",
    "shared": "one shared LoRA",
    "equal": "LSLo, equal ranks, the paper's indexing",
    "learned": "LSLo, equal ranks, learned indexing",
    "pruned": "LSLo, ranks by demand, learned indexing, pruned",
}
BASELINES = ("full", "shared")
MARK, TITLE = "runs/lslo_report.py", "Language-specific LoRA beside its baselines"
SAMPLES = 1000

Systems = Mapping[str, Any]


def read_outputs(path: Path) -> dict[Direction, list[str]]:
    """Read the translations of a system."""
    found: dict[Direction, list[str]] = defaultdict(list)
    with path.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            found[Direction(line["source"], line["target"])].append(line["text"])
    return found


def compare(out: Path, systems: Iterable[str]) -> dict[str, dict[str, dict[str, Difference]]]:
    """Return baseline → system → pair of classes → difference, by paired bootstrap."""
    settings = json.loads((out / "settings.json").read_text())
    tests = texts(out / "data" / "test", settings["test_limit"], settings["seed"])
    drawn: dict[str, Resampled] = {
        name: resample(read_outputs(out / "outputs" / f"{name}.jsonl"), tests, samples=SAMPLES) for name in systems
    }
    return {
        baseline: {name: differences(drawn[name], drawn[baseline], CLASSES) for name in drawn if name != baseline}
        for baseline in BASELINES
        if baseline in drawn
    }


def bleu_name(systems: Systems) -> str:
    """Return what BLEU is called with the tokenizer that was used."""
    signature: str = next(iter(systems.values()))["results"]["results"][0]["bleu_signature"]
    return "spBLEU" if "tok:flores" in signature else "BLEU"


def overview(systems: Systems, bleu: str) -> list[str]:
    """Return the table of all systems: parameters, scores over all directions, time."""
    rows = []
    for name, system in systems.items():
        count, mean = system["parameters"], system["class_pairs"][ALL]
        shares = [f"{count[kind]:,} ({100 * count[kind] / count['base']:.2f} %)" for kind in ("trained", "surviving")]
        seconds = [trial["seconds"] for trial in system["trials"]]
        best = min(system["trials"], key=lambda trial: trial["dev_loss"], default=None)
        rows.append(
            [
                TITLES[name],
                *shares,
                f"{mean['chrf++']:.1f}",
                f"{mean['bleu']:.1f}",
                f"{mean['off_target']:.1f} %",
                f"{best['learning_rate']:g}" if best else "–",
                f"{best['dev_loss']:.3f}" if best else "–",
                " + ".join(f"{second / 60:.1f}" for second in seconds) or "–",
            ]
        )
    heads = ["system", "trained", "surviving", "chrF++", bleu, "off target", "rate", "dev loss", "minutes per rate"]
    return ["## All directions", *table(heads, rows)]


def by_class(systems: Systems, key: str, title: str) -> list[str]:
    """Return the table of one score by pair of classes."""
    first = next(iter(systems.values()))["class_pairs"]
    heads = ["system", *(f"{kind} ({mean['directions']})" for kind, mean in first.items())]
    rows = [
        [TITLES[name], *(f"{mean[key]:.1f}" for mean in system["class_pairs"].values())]
        for name, system in systems.items()
    ]
    return [f"## {title} by pair of classes (number of directions)", *table(heads, rows)]


def against(baseline: str, found: Mapping[str, Mapping[str, Difference]]) -> list[str]:
    """Return the table of differences to a baseline, and for each system whether it holds up everywhere."""
    kinds = list(next(iter(found.values())))
    rows = [[kind, *(_cell(found[name][kind]) for name in found)] for kind in kinds]
    lines = [f"## chrF++ above {TITLES[baseline]}, with 95 % intervals", *table(["", *map(TITLES.get, found)], rows)]
    lines += [f"`*` p < 0.05, `**` p < 0.01, paired bootstrap over test rows, {SAMPLES} samples.", ""]
    for name, values in found.items():
        below = [kind for kind, value in values.items() if kind != ALL and value.mean < 0]
        surely = [kind for kind in below if values[kind].p < 0.05]
        lines.append(
            f"- {TITLES[name]}: {values[ALL].mean:+.2f} on average (p = {values[ALL].p:.3f}), below on "
            f"{', '.join(below) or 'no pair of classes'}"
            + (f", with p < 0.05 on {', '.join(surely) or 'none'}." if below else ".")
        )
    return [*lines, ""]


def _cell(value: Difference) -> str:
    mark = "**" if value.p < 0.01 else "*" if value.p < 0.05 else ""
    return f"{value.mean:+.2f} [{value.low:+.2f}, {value.high:+.2f}]{f' `{mark}`' if mark else ''}"


def demand(ranks: Mapping[str, Any], systems: Systems) -> list[str]:
    """Return the table of what each language keeps, gets, and has in the end."""
    final = systems.get("pruned", {}).get("parameters", {}).get("languages", {})
    rows = []
    for code, rank in ranks["ranks"].items():
        count = final.get(code)
        numbers = [f"{count['trained']:,}", f"{count['surviving']:,}"] if count else ["–", "–"]
        rows.append([language_name(code), class_of(code), f"{100 * ranks['shares'][code]:.2f} %", str(rank), *numbers])
    for kind, members in CLASSES.items():
        share = sum(ranks["shares"][code] for code in members) / len(members)
        count = systems.get("pruned", {}).get("parameters", {}).get("classes", {}).get(kind)
        numbers = [f"{count['trained']:,}", f"{count['surviving']:,}"] if count else ["–", "–"]
        mean = sum(ranks["ranks"][code] for code in members) / len(members)
        rows.append([f"mean of {kind}", kind, f"{100 * share:.2f} %", f"{mean:.2f}", *numbers])
    heads = ["language", "class", "share of B that survives", "suggested rank", "trained", "surviving"]
    return [
        "## Demand: pruning across languages at equal ranks",
        "",
        "Trained and surviving are of the pruned system; the rows of classes have the sums of their languages.",
        *table(heads, rows),
    ]


def indexing(found: Mapping[str, Any]) -> list[str]:
    """Return the table of the learned weights beside the paper's indexing."""
    theirs = paper_of(found["source"])
    rows = []
    for unit, weight in in_order(found["source"]):
        ours = "source" if weight > 0.5 else "target"
        rows.append([unit, f"{weight:.3f}", ours, theirs[unit], "yes" if ours == theirs[unit] else "no"])
    return [
        "## Learned indexing",
        "",
        f"Mean entropy {found['entropy']:.3f} bits, mean weight of the heavier role {found['hardness']:.3f}.",
        *table(["layer", "weight of the source", "indexed by", "the paper, at this depth", "agrees"], rows),
    ]


def method(settings: Mapping[str, Any], systems: Systems) -> list[str]:
    """Return what one must know to repeat and to judge the numbers."""
    one = next(iter(systems.values()))
    results, machine = one["results"], one["machine"]
    rows = [row for system in systems.values() for row in system["results"]["results"]]
    signatures = {(row["signature"], row["bleu_signature"]) for row in rows}
    accuracy = results["identifier"]["accuracy"]
    lines = [f"- chrF++ `{chrf}`, BLEU `{bleu}`" for chrf, bleu in sorted(signatures)]
    lines += [
        f"- rows, both directions counted: train {one['rows']['train']:,}, dev {one['rows']['dev']:,}, "
        f"test {one['rows']['test']:,}; greedy decoding; averages give each direction the same weight",
        f"- {machine['device']}, {machine['threads']} threads on {machine['cores']} cores; "
        + ", ".join(f"{package} {version}" for package, version in results["versions"].items()),
        f"- the language identifier is right on {min(accuracy.values()):.1f} … {max(accuracy.values()):.1f} % of the "
        "references of each language",
        "- settings: " + ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None),
        *(f"- {note}" for note in results["notes"]),
    ]
    return ["## How it was measured", "", *lines, ""]


def main() -> None:
    """Write the document, the numbers and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder that runs/lslo.py wrote")
    parser.add_argument("docs", type=Path, help="docs/results")
    args = parser.parse_args()

    def load(name: str) -> Any:
        path = args.out / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    systems = {name: found for name in TITLES if (found := load(name)) is not None}
    if not systems:
        raise SystemExit(f"`{args.out}` must hold the results of runs/lslo.py, but holds none. Run it first.")
    settings, ranks, learned = load("settings"), load("ranks"), load("indexing")
    found = compare(args.out, systems)
    args.docs.mkdir(parents=True, exist_ok=True)
    bleu = bleu_name(systems)
    lines = overview(systems, bleu) + by_class(systems, "chrf++", "chrF++") + by_class(systems, "bleu", bleu)
    lines += [line for baseline, each in found.items() if each for line in against(baseline, each)]
    if learned:
        (args.docs / "lslo-indexing.svg").write_text(indexing_svg(learned), encoding="utf-8")
        lines += [*indexing(learned), "![weight of the source per layer](lslo-indexing.svg)", ""]
    if ranks:
        lines += demand(ranks, systems)
    for name, title in (("survival", "across languages"), ("pruned-survival", "within each language")):
        if (path := args.out / f"{name}.json").exists():
            (args.docs / f"lslo-{name}.svg").write_text(survival_svg(Survival.from_json(path.read_text())), "utf-8")
            lines += [f"![what survives pruning {title}](lslo-{name}.svg)", ""]
    put(args.docs / "lslo.md", MARK, TITLE, "\n".join(lines + method(settings, systems)))
    plain = {
        baseline: {name: {kind: asdict(value) for kind, value in by.items()} for name, by in each.items()}
        for baseline, each in found.items()
    }
    kept = {"settings": settings, "systems": systems, "differences": plain, "indexing": learned, "ranks": ranks}
    (args.docs / "lslo.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
