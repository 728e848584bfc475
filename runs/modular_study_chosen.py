"""Which settings of runs/modular_study.py are best on dev, what they differ in, and how far seeds are apart."""

from __future__ import annotations

import re
import statistics

from modular_study_results import Found, numbers

FIRST = "headline/bridged-1"
"""The study's own settings, with the first seed."""
_ON_TEST = {"own": FIRST, "bridge-0": "baseline/span"}


def best(found: Found) -> str:
    """Return the result on test of the settings that are best on dev, directly; the first one's where none is there."""
    known = {}
    for name in found.systems:
        group, _, settings = name.partition("/")
        on_test = _ON_TEST.get(settings, f"headline/{settings}")
        if group == "settings" and on_test in found.systems and (each := numbers(found, name, "direct")):
            known[on_test] = each.chrf
    return max(known, key=lambda name: known[name], default=FIRST)


def titles(found: Found) -> dict[str, str]:
    """Return the titles of results with other settings, whose names begin with one: what they differ in."""
    own = found.systems.get(FIRST, {}).get("regime", {})
    found_titles = {}
    for name, system in found.systems.items():
        if re.match(r"headline/(?!bridged|mean|recipe)", name):
            other = [f"{key} {value}" for key, value in system["regime"].items() if own.get(key) != value]
            found_titles[name] = "modular; " + ", ".join(other).replace("_", " ")
    return found_titles


def seeds(found: Found) -> list[str]:
    """Return the mean and the spread of what was trained with several seeds."""
    groups: dict[str, list[str]] = {}
    for name in sorted(found.systems):
        if match := re.fullmatch(r"(headline/bridged|headline/.+(?=-seed-))(?:-seed)?-\d+", name):
            groups.setdefault(match[1], []).append(name)
    lines = []
    for first, others in groups.items():  # the first seed of other settings has no number
        names = [first, *others] if first in found.systems else others
        for via in ("direct", "pivot"):
            means = [each.chrf for name in names if (each := numbers(found, name, via))]
            if len(means) > 1:
                spread = f"{statistics.mean(means):.2f} ± {statistics.stdev(means):.2f}"
                told = ", ".join(f"{mean:.2f}" for mean in means)
                lines.append(f"- `{first}`, {len(means)} seeds, {via}: {spread} ({told})")
    return lines
