"""The ranks and seeds of runs/modular_study.py: which rank is best on dev, and how far seeds are apart."""

from __future__ import annotations

import re
import statistics

from modular_study_results import Found, numbers

FIRST = "headline/bridged-1"
"""The study's own rank, with bridged rows, first seed."""


def best(found: Found) -> str:
    """Return the result on test of the rank that is best on dev, directly; the first seed's where none was compared."""
    chosen = {"rank/" + kind + rank: name for name, (kind, rank) in _kinds(found).items()}
    known = {name: each.chrf for name in chosen if (each := numbers(found, name, "direct"))}
    return chosen[max(known, key=lambda name: known[name])] if known else FIRST


def _kinds(found: Found) -> dict[str, tuple[str, str]]:
    """Return the first seeds' results on test by rank: whether it had no bridged rows ("span-"), and its rank."""
    own = str(found.settings.get("rank"))
    kinds = {FIRST: ("", own), "baseline/span": ("span-", own)}
    for name in found.systems:
        if match := re.fullmatch(r"headline/(span-)?rank-(\d+)", name):
            kinds[name] = (match[1] or "", match[2])
    return {name: kind for name, kind in kinds.items() if name in found.systems}


def rank_titles(found: Found) -> dict[str, str]:
    """Return the titles of other ranks' results, in the order of the ranks."""
    words = {"": "bridged rows", "span-": "English rows alone"}
    there = {name: kind for name, kind in _kinds(found).items() if "rank-" in name}
    return {
        name: f"modular, {words[kind]}, rank {rank}"
        for name, (kind, rank) in sorted(there.items(), key=lambda item: (item[1][0], int(item[1][1])))
    }


def seeds(found: Found) -> list[str]:
    """Return the mean and the spread of what was trained with several seeds."""
    groups: dict[str, list[str]] = {}
    for name in sorted(found.systems):
        if match := re.fullmatch(r"(headline/bridged|headline/.+(?=-seed-))(?:-seed)?-\d+", name):
            groups.setdefault(match[1], []).append(name)
    for first in groups:
        if first in found.systems:  # a rank's first seed has no number
            groups[first].insert(0, first)
    lines = []
    for first, names in groups.items():
        for via in ("direct", "pivot"):
            means = [each.chrf for name in names if (each := numbers(found, name, via))]
            if len(means) > 1:
                spread = f"{statistics.mean(means):.2f} ± {statistics.stdev(means):.2f}"
                each = ", ".join(f"{mean:.2f}" for mean in means)
                lines.append(f"- `{first}`, {len(means)} seeds, {via}: {spread} ({each})")
    return lines
