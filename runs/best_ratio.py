"""Print the weight (the last part of a file's name) of the results with the best mean direct chrF++."""

from __future__ import annotations

import argparse
from pathlib import Path

from lingraft.measure import Results


def main() -> None:
    """Compare the files and print the weight of the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="files NAME-WEIGHT.json of `lingraft measure`")
    args = parser.parse_args()

    def mean(path: Path) -> float:
        return float(Results.from_json(path.read_text()).summary["without_pivot"]["direct"]["chrf++"])

    print(max(args.results, key=mean).stem.rsplit("-", 1)[1])


if __name__ == "__main__":
    main()
