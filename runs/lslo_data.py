"""Who learns from which Tatoeba sentences: the base's training text, and the set that the joint regime is tuned on.

Both come from one function, ``split``: the tuning set is drawn first, and the base gets rows that hold none of
its sentences. So the two are disjoint by construction, whatever the seed, for a run that uses the same seed
and files. Run as a script, it writes the tuning set:

    .venv/bin/python runs/lslo_data.py --data ../shared/data/tatoeba --out runs/out/lslo/data
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lingraft.atoms import ENGLISH
from lingraft.atoms.languages import name
from lingraft.corpus import Pairs, read
from lingraft.library.disk import write_folder

CLASSES = {
    "high": ("eng_Latn", "ita_Latn", "por_Latn", "spa_Latn"),
    "medium": ("dan_Latn", "nld_Latn", "pol_Latn", "swe_Latn"),
    "low": ("deu_Latn", "epo_Latn", "fra_Latn", "rus_Cyrl"),
}
"""Resource classes, by what the base reads of a language: high ones in all pairs among them, others with English."""
BASE_ROWS = {"high": None, "medium": 3000, "low": 500}
"""The most rows of a pair in the base's text, by the class of its language of fewer resources; None: all."""
TUNING_ROWS, DEV_ROWS, TEST_ROWS = 400, 100, 150
"""The most rows of each pair of languages in the tuning set."""
LANGUAGES = tuple(sorted(itertools.chain(*CLASSES.values())))
ORDER = tuple(CLASSES)
SEED = 1


class Split(NamedTuple):
    """The rows of the train files, divided; no sentence is in both parts."""

    base: list[Pairs]
    tuning: list[Pairs]


def class_of(language: str) -> str:
    """Return the resource class of a language."""
    return next(kind for kind, members in CLASSES.items() if language in members)


def key(sentence: str) -> str:
    """Return what two sentences have in common where they count as the same: letters and digits, case aside."""
    return "".join(filter(str.isalnum, sentence.casefold())) or sentence


def keys(texts: Iterable[Pairs]) -> set[str]:
    """Return the keys of all sentences on both sides."""
    return {key(sentence) for pairs in texts for side in (pairs.left, pairs.right) for sentence in side}


def read_all(folder: Path) -> list[Pairs]:
    """Read the file of each pair of the twelve languages that has one."""
    found = []
    for a, b in itertools.combinations(LANGUAGES, 2):
        if (folder / f"{a}-{b}.tsv.gz").exists():
            found += read(str(folder / "{a}-{b}.tsv.gz"), [b], pivot=a)
    return found


def draw(pairs: Pairs, most: int | None, seed: str, without: Collection[str] = frozenset()) -> Pairs:
    """Return at most ``most`` rows, drawn by a hash of the row and the seed.

    Args:
        pairs: Rows of one pair of languages.
        most: How many to draw; None: all.
        seed: Another seed draws others.
        without: Keys of sentences that no drawn row may hold.

    Returns:
        The rows, in the order of the file. Whether a row comes before another does not depend on the rest.
    """
    free = [i for i in range(len(pairs)) if key(pairs.left[i]) not in without and key(pairs.right[i]) not in without]
    if most is not None:
        free.sort(key=lambda i: hashlib.sha256("\t".join((seed, pairs.left[i], pairs.right[i])).encode()).digest())
    return pairs.pick(sorted(free[:most]))


def base_rows(a: str, b: str) -> int | None:
    """Return how many rows of a pair the base reads: 0 for pairs of other languages than it learns together."""
    kind = max(class_of(a), class_of(b), key=ORDER.index)
    return BASE_ROWS[kind] if kind == "high" or ENGLISH in (a, b) else 0


def split(data: Path, seed: int = SEED) -> Split:
    """Divide the train files between the tuning set and the base.

    Args:
        data: Folder with the folder ``train``.
        seed: Decides which rows are drawn.

    Returns:
        Rows of every available pair for tuning, and of the base's pairs those without a sentence of them.
    """
    texts = read_all(data / "train")
    tuning = [draw(pairs, TUNING_ROWS, f"{seed} tuning") for pairs in texts]
    taken = keys(tuning)
    drawn = [draw(pairs, base_rows(pairs.a, pairs.b), f"{seed} base", taken) for pairs in texts]
    return Split([pairs for pairs in drawn if len(pairs)], tuning)


def held_out(data: Path, part: Split, seed: int = SEED) -> tuple[list[Pairs], list[Pairs]]:
    """Return dev and test rows of every available pair, without a sentence that anything was trained on."""
    seen = keys(part.base) | keys(part.tuning)
    dev = [draw(pairs, DEV_ROWS, f"{seed} dev", seen) for pairs in read_all(data / "dev")]
    seen |= keys(dev)
    return dev, [draw(pairs, TEST_ROWS, f"{seed} test", seen) for pairs in read_all(data / "test")]


def write(texts: Sequence[Pairs], folder: Path) -> None:
    """Write ``{a}-{b}.tsv.gz`` files; the same rows give the same bytes."""
    files = {}
    for pairs in texts:
        lines = "".join(f"{x}\t{y}\n" for x, y in zip(pairs.left, pairs.right, strict=True))
        files[f"{pairs.a}-{pairs.b}.tsv.gz"] = gzip.compress(lines.encode(), mtime=0)
    write_folder(folder, files)


def by_class(texts: Sequence[Pairs]) -> str:
    """Return the rows of each pair of classes as one line."""
    counts = dict.fromkeys(itertools.combinations_with_replacement(ORDER, 2), 0)
    for pairs in texts:
        one, other = sorted((class_of(pairs.a), class_of(pairs.b)), key=ORDER.index)
        counts[one, other] += len(pairs)
    return ", ".join(f"{one[0]}-{other[0]} {count}".upper() for (one, other), count in counts.items())


def main() -> None:
    """Write the tuning set and print what is in it."""
    parser = argparse.ArgumentParser(description="Write the tuning set of the joint regime.")
    parser.add_argument("--data", type=Path, required=True, help="folder of Tatoeba's train, dev and test folders")
    parser.add_argument("--out", type=Path, default=Path("runs/out/lslo/data"))
    parser.add_argument("--seed", type=int, default=SEED, help="the base must be trained with the same")
    args = parser.parse_args()
    if args.out.resolve() == args.data.resolve():
        parser.error("`--out` must be another folder than `--data`, whose files it would replace")
    part = split(args.data, args.seed)
    dev, test = held_out(args.data, part, args.seed)
    counts = {}
    for title, texts in (("train", part.tuning), ("dev", dev), ("test", test)):
        write(texts, args.out / title)
        counts[title] = {(pairs.a, pairs.b): len(pairs) for pairs in texts}
    for a, b in counts["train"]:
        rows = "  ".join(f"{title} {counts[title].get((a, b), 0):4}" for title in counts)
        print(f"{a}-{b}  {rows}  {name(a)}, {name(b)}")
    for title, texts in (("base", part.base), ("train", part.tuning), ("dev", dev), ("test", test)):
        print(f"{title:5} {len(texts):2} pairs, {sum(map(len, texts)):6} rows: {by_class(texts)}")


if __name__ == "__main__":
    main()
