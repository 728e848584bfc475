"""The card of the seq2seq base: what it is, and its scores in every direction, learned or not."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lslo_data import BASE_ROWS, CLASSES, LANGUAGES, base_rows, class_of

from lingraft import base
from lingraft.atoms import Direction
from lingraft.atoms.languages import name
from lingraft.corpus import Pairs
from lingraft.direction import Translator, attach
from lingraft.measure import score_texts

DESCRIPTION = (
    "A small encoder-decoder of the M2M-100 class for experiments with the joint regime; not for any real use. "
    "High-resource languages were learned in all pairs among them, medium- and low-resource ones with English alone."
)
DATA = (
    "Train files of the Tatoeba Challenge test sets v2021-08-07 (sentences by the contributors of tatoeba.org), "
    "without the sentences that runs/lslo_data.py keeps for tuning, dev and test. The tokenizer has read no other text."
)
LICENCE = "CC-BY 2.0 FR"


def write(folder: Path, test: Sequence[Pairs], lines: int) -> None:
    """Score the base in ``folder`` as it will be loaded, and write ``lingraft.json`` and ``scores.json`` into it.

    Args:
        folder: The saved base.
        test: Test rows of the available pairs.
        lines: How many rows of each pair to translate, both ways.
    """
    known = {
        "languages": list(LANGUAGES),
        "names": {code: name(code) for code in LANGUAGES},
        "classes": {kind: list(members) for kind, members in CLASSES.items()},
        "rows": BASE_ROWS,
        "description": DESCRIPTION,
        "data": DATA,
        "licence": LICENCE,
    }
    with attach(base.load(str(folder))) as translator:
        rows = scores(translator, test, lines)
    card = {**known, "scores": {"lines": f"at most {lines} of a direction, greedy", **averages(rows)}}
    (folder / "lingraft.json").write_text(json.dumps(card, indent=2) + "\n")
    (folder / "scores.json").write_text(json.dumps(rows, indent=1) + "\n")
    for kind, mean in averages(rows)["mean"].items():
        print(f"{kind}: {mean['chrf++']:.1f} chrF++ over {mean['directions']} directions", flush=True)


def scores(translator: Translator, test: Sequence[Pairs], lines: int) -> list[dict[str, Any]]:
    """Translate and score both directions of each pair."""
    rows = []
    for pairs in test:
        for a, b in itertools.permutations((pairs.a, pairs.b)):
            answers = translator.translate(pairs.of(a)[:lines], Direction(a, b))
            chrf, bleu = score_texts(answers, pairs.of(b)[:lines])
            rows.append(
                {
                    "source": a,
                    "target": b,
                    "classes": f"{class_of(a)[0]}2{class_of(b)[0]}".upper(),
                    "learned": base_rows(pairs.a, pairs.b) != 0,
                    "chrf++": round(chrf.value, 2),
                    "bleu": round(bleu.value, 2),
                    "lines": len(answers),
                    "signatures": [chrf.signature, bleu.signature],
                }
            )
    return rows


def averages(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean scores of learned and unlearned directions by pair of classes, with their signatures."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[f"{row['classes']} {'learned' if row['learned'] else 'never seen'}"].append(row)
    means = {}
    for kind, mine in sorted(groups.items()):
        count = len(mine)
        means[kind] = {key: round(sum(row[key] for row in mine) / count, 2) for key in ("chrf++", "bleu")}
        means[kind]["directions"] = count
    return {"mean": means, "signatures": rows[0]["signatures"]}
