"""Write the tables of docs/results/modular_study.md, its JSON and pictures from the results of runs/modular_study.py.

What stands in the document around the two marks is kept, so that prose can be written there. Groups of steps that
have no results yet have no table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from modular_study_chosen import FIRST, best, seeds, titles
from modular_study_dev_tables import READING, SCORES, compared, depth, grid, kept, scores
from modular_study_picture import lines_svg
from modular_study_results import Found, Numbers, numbers, signed, words
from report_document import put, table

from lingraft.atoms.languages import name as language_name

MARK, TITLE = "runs/modular_study_report.py", "Merging: what helps, how much data, how near to full fine-tuning"
FULL, EQUAL = "baseline/multi-full", "baseline/full-equal-text"
SYSTEMS = {
    FIRST: "modular, bridged rows",
    "headline/mean-full": "modular, mean of the seeds' adapters",
    "headline/mean-cut": "modular, mean of the seeds' adapters, cut back to the rank of one",
    "headline/recipe": "modular, bridged rows, searched recipes",
    "baseline/large-steps": "modular, bridged rows, steps four times as large",
    "baseline/span": "modular, English rows alone",
    "baseline/everywhere": "modular, everywhere (as in the paper)",
    "baseline/source-only": "input adapter alone",
    "baseline/target-only": "output adapter alone",
    "baseline/english-lora": "one LoRA, English pairs",
    "baseline/multi-lora": "one LoRA, the six direct pairs",
    FULL: "full fine-tuning, the six direct pairs",
    EQUAL: "full fine-tuning, as many sentences of a language as its adapters have",
    "baseline/base": "base alone",
}


def overview(found: Found, docs: Path) -> list[str]:
    """Return the table of headline and baselines beside full fine-tuning and the pivot."""
    full, rows = numbers(found, FULL, "direct"), []
    for name, title in {FIRST: SYSTEMS[FIRST], **titles(found), **SYSTEMS}.items():
        for via in found.vias(name):
            mine, pivot = numbers(found, name, via), numbers(found, name, "pivot")
            if mine is None:
                continue
            shares = ["–", "–", "–"]
            if full:
                shares = [*_shares(mine, full), "–"]
            if pivot:
                shares[2] = f"{100 * mine.chrf / pivot.chrf:.0f} %"
            minus = words(found.contrast((name, via), (FULL, "direct"))) if full and name != FULL else "–"
            count = found.systems[name].get("parameters")
            rows.append([title, via, *scores(mine), *shares, minus, f"{count:,}" if count else "–"])
    heads = ["system", "via", *SCORES, "of full tuning", "least of it", "of its pivot", "minus full tuning", "trained"]
    lines = ["## Headline and baselines", *table(heads, rows), READING, "", *seeds(found)]
    ours = best(found)
    if equal := numbers(found, EQUAL, "direct"):
        for via in found.vias(ours):
            share, least = _shares(numbers(found, ours, via), equal)
            minus = words(found.contrast((ours, via), (EQUAL, "direct")))
            lines.append(
                f"- `{ours}`, {via} beside full fine-tuning on as many sentences: {share}, at least {least}; {minus}"
            )
    if (mean := found.contrast((ours, "direct"), (ours, "pivot"))) is not None:
        lines.append(f"- `{ours}`, direct minus pivot with the same adapters: {words(mean)}")
    if (docs / "modular_study-search.svg").exists():  # of `lingraft search`, for modular_study.sh
        lines += ["", "![search of each direction's weights on dev](modular_study-search.svg)"]
    return [*lines, ""]


def _shares(mine: Numbers, full: Numbers) -> tuple[str, str]:
    """Return how much of another system's mean one reaches, and in the direction where it is least."""
    least = min(mine.rows[where] / max(full.rows[where], 0.1) for where in full.rows)
    return f"{100 * mine.chrf / full.chrf:.0f} %", f"{100 * least:.0f} %"


def directions(found: Found) -> list[str]:
    """Return the table of every direction: direct, pivot, full tuning, and whether they surely differ."""
    name = best(found)
    direct, pivot, full = (numbers(found, *each) for each in ((name, "direct"), (name, "pivot"), (FULL, "direct")))
    if direct is None or pivot is None:
        return []
    by = {}
    for key, other in (("pivot", (name, "pivot")), ("full", (FULL, "direct"))):
        each = found.contrast((name, "direct"), other)
        by[key] = {} if each is None else {(one.source, one.target): one for one in each}
    rows = []
    for where in direct.rows:
        cells = [" → ".join(map(language_name, where)), f"{direct.rows[where]:.1f}", f"{pivot.rows[where]:.1f}"]
        cells += (
            [f"{full.rows[where]:.1f}", f"{100 * direct.rows[where] / max(full.rows[where], 0.1):.0f} %"]
            if full
            else []
        )
        cells += [f"{direct.off_target_of(where):.1f} %"]
        cells += [signed(by[key].get(where)) for key in (("pivot", "full") if full else ("pivot",))]
        rows.append(cells)
    heads = ["direction", "direct", "pivot", *(["full tuning", "of full tuning"] if full else []), "off target"]
    heads += ["minus pivot", *(["minus full tuning"] if full else [])]
    note = "`*`: they differ after Holm's correction over the directions (p < 0.05, paired bootstrap)."
    return ["## Every direction", "", f"Of `{name}`, the best on dev.", *table(heads, rows), note, ""]


def curve(found: Found, docs: Path) -> list[str]:
    """Return the table of quality over the number of pairs, and draw it; the headline's number is one of them."""
    names = [name for name in found.systems if name.startswith("curve/")]
    if not names:
        return []
    sizes = {int(name.split("/")[1]): name for name in names if "-" not in name}
    fulls = {int(name.split("-")[1]): name for name in names if "-" in name}
    if limit := found.settings["limit"]:
        sizes[limit], fulls[limit] = FIRST, FULL
    if EQUAL in found.systems:
        fulls[min(found.systems[EQUAL]["rows"].values())] = EQUAL
    keys = {"direct": (sizes, "direct"), "pivot": (sizes, "pivot"), "full tuning": (fulls, "direct")}
    rows, series = [], {key: [] for key in keys}
    for size in sorted({*sizes, *fulls}):
        cells = [f"{size:,}"]
        for key, (there, via) in keys.items():
            each = numbers(found, there.get(size, ""), via)
            cells += ["–", "–"] if each is None else [f"{each.chrf:.1f}", f"{each.off_target:.1f} %"]
            if each is not None:
                series[key].append((size, each.chrf))
        name = sizes.get(size, "")
        contrast = found.contrast((name, "direct"), (name, "pivot"))
        epochs = found.systems.get(name, {}).get("regime", {}).get("epochs", "–")
        rows.append([*cells, words(contrast), str(epochs)])
    drawn = {key: points for key, points in series.items() if points}
    title = "Quality over the number of pairs"
    (docs / "modular_study-curve.svg").write_text(
        lines_svg(title, "pairs per language with English; for full tuning, of each direct pair", drawn, doubling=True),
        encoding="utf-8",
    )
    heads = [
        "pairs",
        *(f"{key}{what}" for key in keys for what in ("", ", off target")),
        "direct minus pivot",
        "epochs",
    ]
    return ["## How much data", *table(heads, rows), f"![{title}](modular_study-curve.svg)", ""]


def method(found: Found) -> list[str]:
    """Return what one must know to repeat and to judge the numbers."""
    measured = {name: system for name, system in found.systems.items() if "results" in system}
    one = next(iter(measured.values()))
    results, machine = one["results"], one["machine"]
    signatures = {
        (row["signature"], row["bleu_signature"]) for each in measured.values() for row in each["results"]["results"]
    }
    accuracy = results["identifier"]["accuracy"]
    seconds: dict[str, float] = {}
    for system in measured.values():
        if system.get("seconds"):
            seconds[system["training"]] = system["seconds"]
        seconds |= {
            f"{system['training']} {each['learning_rate']:g}, {each['rows']} rows": each["seconds"]
            for each in system.get("trials", ())
        }
    return [
        "## How it was measured",
        "",
        *(f"- chrF++ `{chrf}`, BLEU `{bleu}`" for chrf, bleu in sorted(signatures)),
        f"- {machine['device']}, {machine['threads']} threads on {machine['cores']} cores; "
        + ", ".join(f"{package} {version}" for package, version in results["versions"].items()),
        f"- the language identifier is right on {min(accuracy.values()):.1f} … {max(accuracy.values()):.1f} % of the "
        "references of each language; averages are over the twelve directions without English",
        "- settings: " + ", ".join(f"{key} {value}" for key, value in found.settings.items() if value is not None),
        "- minutes of training: " + ", ".join(f"{name} {value / 60:.1f}" for name, value in seconds.items()),
        "- command: `runs/modular_study.sh`; every system's exact settings are in `modular_study.json`",
        "",
    ]


def main() -> None:
    """Write the document, the numbers and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder that runs/modular_study.py wrote")
    parser.add_argument("docs", type=Path, help="docs/results")
    args = parser.parse_args()
    found = Found(args.out)
    if not any("results" in system for system in found.systems.values()):
        raise SystemExit(f"`{args.out}` must hold the results of runs/modular_study.py, but holds none. Run it first.")
    args.docs.mkdir(parents=True, exist_ok=True)
    lines = overview(found, args.docs) + directions(found) + curve(found, args.docs)
    lines += compared(found, "settings", "Rank and bridged rows", "settings/own", ("direct", "pivot"))
    lines += compared(found, "merge", "Training for mergeability", "merge/control-{seed}", ("direct", "pivot"))
    lines += grid(found) + depth(found, args.docs)
    lines += compared(found, "phase", "When to merge: phase", "phase/span-span", ("direct",))
    lines += compared(found, "ratio", "The plain merge at one ratio", "phase/span-span", ("direct",))
    lines += kept(found) + method(found)
    put(args.docs / "modular_study.md", MARK, TITLE, "\n".join(lines))
    text: Any = json.dumps(found.plain(), ensure_ascii=False, indent=1)
    (args.docs / "modular_study.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
