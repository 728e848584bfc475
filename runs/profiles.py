"""Make the language profiles that come with the package, from the Tatoeba train files."""

from __future__ import annotations

import argparse
from pathlib import Path

from demo_base import GLIMPSED, KNOWN, read_pairs

from lingraft.corpus.profile import Profile


def main() -> None:
    """Write one profile for each language that the demo base has seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the {a}-{b}.tsv.gz train files")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    texts: dict[str, set[str]] = {code: set() for code in KNOWN | GLIMPSED}
    for path in sorted(args.data.glob("*.tsv.gz")):
        a, b = path.name.removesuffix(".tsv.gz").split("-")
        for left, right in read_pairs(path):
            texts[a].add(left)
            texts[b].add(right)
    for code, sentences in texts.items():
        profile = Profile.train(code, sorted(sentences)).without_seen()
        (args.out / f"{code}.json").write_text(profile.to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
