"""Generates the phrasebook: distinct quadruples, split by what they talk about, and the files of a corpus."""

from __future__ import annotations

import gzip
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lingraft.atoms import ENGLISH, ConfigError
from lingraft.atoms.durable import write_file
from lingraft.corpus.phrasebook import grammar, lexicon
from lingraft.corpus.phrasebook.choose import Chooser, Filler, NoFitError, entries_of
from lingraft.corpus.phrasebook.render import CODES, REALISERS, render

Row = tuple[str, ...]
"""One sentence in every language, in the order of `CODES`."""
PATIENCE = 40
"""Attempts without a new sentence after which a pattern counts as exhausted."""
SHARES = (("test", 4), ("dev", 8), ("train", 100))
"""Upper ends, in percent of the hash range, of what is held out."""


@dataclass(frozen=True)
class Split:
    """Line-parallel sentences by language code, in an order that says nothing about how they were made."""

    lines: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.lines[ENGLISH])

    def rows(self) -> Iterator[dict[str, str]]:
        """One mapping from language to sentence per line."""
        for row in zip(*self.lines.values(), strict=True):
            yield dict(zip(self.lines, row, strict=True))


@dataclass(frozen=True)
class Phrasebook:
    """Parallel sentences in English, Esperanto, Interlingua and Ido."""

    train: Split
    dev: Split
    test: Split

    def write(self, folder: Path | str) -> None:
        """Writes `train/` and `dev/{a}-{b}.tsv.gz` of English with each language, and `multi/{dev,test}.{lang}.txt.gz`.

        Args:
            folder: Made if missing; files of the same name are replaced. The bytes depend on nothing but the sentences.
        """
        for name, split in (("train", self.train), ("dev", self.dev)):
            for language in CODES:
                if language != ENGLISH:
                    a, b = sorted((ENGLISH, language))
                    pairs = zip(split.lines[a], split.lines[b], strict=True)
                    write_lines(Path(folder, name, f"{a}-{b}.tsv.gz"), ("\t".join(pair) for pair in pairs))
        for name, split in (("dev", self.dev), ("test", self.test)):
            for language in CODES:
                write_lines(Path(folder, "multi", f"{name}.{language}.txt.gz"), split.lines[language])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes gzipped UTF-8 lines in one step, without time or file name in the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    write_file(path, gzip.compress(data, mtime=0))


def content(fillers: Mapping[str, Filler]) -> str:
    """The content words of a sentence, whatever their order, number, tense, and articles."""
    entries = [entry for filler in fillers.values() for entry in entries_of(filler)]
    return " ".join(sorted(entry.words[ENGLISH] for entry in entries if entry.kind not in {"pronoun", "determiner"}))


def share(key: str) -> str:
    """The split that sentences with these content words belong to."""
    percent = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) * 100 / 2**64
    return next(name for name, end in SHARES if percent < end)


def sentences(rng: random.Random) -> Iterator[tuple[str, Row]]:
    """New sentences with their split, all patterns in turn until they are exhausted; distinct in each language."""
    chooser = Chooser(lexicon.load(), rng)
    seen: tuple[set[str], ...] = tuple(set() for _ in CODES)
    patterns = list(grammar.load())
    while patterns:
        for pattern in tuple(patterns):
            for _ in range(PATIENCE):
                try:
                    fillers = chooser.fill(pattern)
                except NoFitError:
                    continue
                row = tuple(render(pattern, fillers, realiser) for realiser in REALISERS)
                if not any(text in known for text, known in zip(row, seen, strict=True)):
                    for text, known in zip(row, seen, strict=True):
                        known.add(text)
                    yield share(content(fillers)), row
                    break
            else:
                patterns.remove(pattern)


def vocabulary(row: Row) -> Iterator[tuple[int, str]]:
    """The words of a sentence with the number of their language."""
    for language, text in enumerate(row):
        for word in text.lower().split():
            yield language, word.strip('.,!?"')


def generate(seed: int = 1, train: int = 20_000, dev: int = 500, test: int = 500) -> Phrasebook:
    """A phrasebook, the same for the same arguments.

    No sentence is in two splits, in any language; no set of content words either. Every word form of dev and test is
    in train, in other company.

    Args:
        seed: Of all choices but the split, which depends on the content words alone.
        train: Sentences to train on.
        dev: Sentences to choose settings on.
        test: Sentences to measure on.

    Returns:
        The three splits, of exactly these sizes.

    Raises:
        ConfigError: If the grammar has fewer sentences than asked for.
    """
    sizes = {"train": train, "dev": dev, "test": test}
    made: dict[str, list[Row]] = defaultdict(list)
    rng = random.Random(seed)
    for name, row in sentences(rng):
        made[name].append(row)
        # Held-out sentences may yet fall to the vocabulary check, so some are made to spare.
        if all(len(made[name]) >= size * (1 if name == "train" else 1.3) for name, size in sizes.items()):
            break
    kept = {"train": made["train"][:train]}
    known = {word for row in kept["train"] for word in vocabulary(row)}
    for name in ("dev", "test"):
        kept[name] = [row for row in made[name] if known.issuperset(vocabulary(row))][: sizes[name]]
    for name, size in sizes.items():
        if len(kept[name]) < size:
            most = len(kept[name])
            raise ConfigError(f"`{name}` must be at most {most}, but is {size} instead. Ask for fewer sentences.")
        rng.shuffle(kept[name])
    return Phrasebook(**{name: split(rows) for name, rows in kept.items()})


def split(rows: Sequence[Row]) -> Split:
    """The rows as columns."""
    return Split({code: tuple(row[place] for row in rows) for place, code in enumerate(CODES)})
