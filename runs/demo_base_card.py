"""Score the demo base on the Tatoeba test files and write its card (lingraft.json, README.md, scores.json)."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

from demo_base import GLIMPSED, KNOWN, read_pairs

from lingraft import base
from lingraft.atoms import Direction
from lingraft.direction import attach
from lingraft.measure import score_texts

FORMAT = {"source": "{source}: {text}\n", "target": "{target}:", "answer": " {text}"}
CARD = """---
license: cc-by-2.0
language: [cs, da, en, it, nl, pl, pt, es, sv]
pipeline_tag: translation
library_name: transformers
tags: [lingraft, llama, tiny]
---
# The Lingraft demo base

A decoder-only translator of the Llama class with {parameters:.2f} M parameters (6 layers, d 256, vocabulary 8,000 with
byte-level fallback), to learn on and to test with. It translates simple everyday sentences among {known}, none of them
well. Of {glimpsed} it has seen {monolingual} single sentences each and no translation.

- **Data**: the train files of the Tatoeba Challenge test sets v2021-08-07 (CC-BY 2.0 FR), sentences by the
  contributors of tatoeba.org. No sentence of a dev or test file is among them.
- **Training**: `runs/demo_base.sh`, {steps} steps, {tokens:.0f} M tokens ({epochs:.1f} epochs), seed {seed},
  {minutes:g} minutes on two CPU cores that other work shared.
- **Prompt**: `{{source}}: {{text}}`, a line feed, `{{target}}:`, with English names of languages; the answer ends with
  `</s>`. What is read does not depend on the target.
- **Scores** on the first {lines} lines of each Tatoeba test file, greedy, mean over directions:
  into English {into:.1f} chrF++, out of English {out:.1f}, between the other eight {between:.1f}
  (`{signature}`; all directions in `scores.json`; `runs/demo_base_card.py`).
- **Not for** any real use.
"""


def main() -> None:
    """Translate every known direction, score it, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the {a}-{b}.tsv.gz test files")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=200)
    args = parser.parse_args()
    card = {"format": FORMAT, "languages": sorted(KNOWN)}
    (args.model / "lingraft.json").write_text(json.dumps(card, indent=2) + "\n")
    rows = []
    with attach(base.load(str(args.model))) as translator:
        for a, b in itertools.combinations(sorted(KNOWN), 2):
            path = args.data / f"{a}-{b}.tsv.gz"
            if not path.exists():
                continue
            pairs = read_pairs(path)[: args.lines]
            sides = {a: [left for left, _ in pairs], b: [right for _, right in pairs]}
            for source, target in ((a, b), (b, a)):
                answers = translator.translate(sides[source], Direction(source, target))
                chrf, bleu = score_texts(answers, sides[target])
                rows.append(
                    {
                        "source": source,
                        "target": target,
                        "chrf++": round(chrf.value, 2),
                        "bleu": round(bleu.value, 2),
                        "lines": len(pairs),
                        "signatures": [chrf.signature, bleu.signature],
                    }
                )
    (args.model / "scores.json").write_text(json.dumps(rows, indent=1) + "\n")
    training = json.loads((args.model / "training.json").read_text())

    def mean(kept: list[dict]) -> float:
        return sum(row["chrf++"] for row in kept) / len(kept)

    english = "eng_Latn"
    text = CARD.format(
        known=", ".join(sorted(KNOWN.values())),
        glimpsed=", ".join(sorted(GLIMPSED.values())),
        monolingual="4,000",
        parameters=training["parameters"] / 1e6,
        steps=training["steps"],
        tokens=training["tokens"] / 1e6,
        epochs=training["epochs"],
        seed=training["seed"],
        minutes=training["minutes"],
        lines=args.lines,
        into=mean([row for row in rows if row["target"] == english]),
        out=mean([row for row in rows if row["source"] == english]),
        between=mean([row for row in rows if english not in (row["source"], row["target"])]),
        signature=rows[0]["signatures"][0],
    )
    (args.model / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
