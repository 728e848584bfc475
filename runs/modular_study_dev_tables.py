"""Tables of what runs/modular_study.py has compared on dev: training for mergeability, when to merge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modular_study_picture import lines_svg
from modular_study_results import Found, Numbers, numbers, words
from report_document import table

SCORES = ("chrF++", "BLEU", "off target")
READING = "Differences in chrF++ with 95 % intervals; better and worse: in how many directions they are sure (Holm)."


def scores(each: Numbers) -> list[str]:
    """Return the cells of `SCORES`."""
    return [f"{each.chrf:.1f}", f"{each.bleu:.1f}", f"{each.off_target:.1f} %"]


def compared(found: Found, group: str, title: str, reference: str, vias: Sequence[str]) -> list[str]:
    """Return the table of a group of results on dev, each beside a reference, where ``{seed}`` is its own seed."""
    names = [name for name in found.systems if name.split("/")[0] == group]
    if not names:
        return []
    rows = []
    for name in names:
        cells, own = [name.split("/")[1]], reference.format(seed=name.rsplit("-", 1)[-1])
        for via in vias:
            each = numbers(found, name, via)
            cells += scores(each) if each else ["–"] * len(SCORES)
            cells.append("–" if name == own else words(found.contrast((name, via), (own, via))))
        rows.append(cells)
    heads = [what if via == "direct" else f"{via}: {what}" for via in vias for what in (*SCORES, "minus the reference")]
    return [f"## {title}", "", f"On dev; the reference is `{reference}`. {READING}", *table([group, *heads], rows)]


def grid(found: Found) -> list[str]:
    """Return the scores of input adapters after some epochs with output adapters after others."""
    cells = {tuple(map(int, name.split("/")[1].split("-"))): name for name in found.systems if "checkpoint/" in name}
    if not cells:
        return []
    targets = sorted({target for _, target in cells})
    rows = []
    for source in sorted({source for source, _ in cells}):
        values = [numbers(found, cells[source, target], "direct") for target in targets if (source, target) in cells]
        rows.append([str(source), *(f"{each.chrf:.1f} ({each.off_target:.1f} %)" for each in values if each)])
    heads = ["input ↓ output →", *map(str, targets)]
    return ["## When to merge: epochs of either adapter", "", "chrF++ on dev (off target).", *table(heads, rows)]


def depth(found: Found, docs: Path) -> list[str]:
    """Return the table of adapters in some layers only, and draw it."""
    series: dict[str, list[tuple[float, float]]] = {}
    for name, system in found.systems.items():
        if name.startswith("depth/") and (each := numbers(found, name, "direct")):
            series.setdefault(system["kind"], []).append((system["border"], each.chrf))
    if not series:
        return []
    title = "Adapters in some layers only, at merging"
    picture = lines_svg(title, "first layer above the border", series)
    (docs / "modular_study-depth.svg").write_text(picture, encoding="utf-8")
    lines = compared(found, "depth", "When to merge: depth", "phase/span-span", ("direct",))
    return [*lines, f"![{title}](modular_study-depth.svg)", ""]


def kept(found: Found) -> list[str]:
    """Return whether adding languages changed what others get."""
    if (each := found.systems.get("forgetting")) is None:
        return []
    same = "the same" if each["before"] == each["after"] else "NOT the same"
    where = ", ".join(each["directions"])
    told = f"`{each['before'][:16]}` before and `{each['after'][:16]}` after"
    return [
        "## Forgetting",
        "",
        f"sha256 of the outputs of {where} on dev, two languages added between: {told}, {same}.",
        "",
    ]
