"""The stage of the stories: a tiny base, toy text in several languages, and the real command line."""

from __future__ import annotations

import io
import itertools
import random
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import tiny
from lingraft.cli import main

WORDS = {"house": "domo", "dog": "hundo", "water": "akvo", "red": "ruga", "big": "granda", "sees": "vidas"}
LANGUAGES = ("deu_Latn", "epo_Latn", "fra_Latn")
TRAIN, TEST = 60, 8
SETTINGS = ("fit.epochs=1", "fit.rank=4", "fit.rows=16", "fit.precision=fp32", "fit.learning_rate=0.02")


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def lingraft(*words: object, text: bytes = b"") -> Outcome:
    """Run the command line in this process, exactly as the installed command does."""
    out, err = io.StringIO(), io.StringIO()
    before, code = (sys.argv, sys.stdin), 0
    sys.argv = ["lingraft", *map(str, words)]
    sys.stdin = io.TextIOWrapper(io.BytesIO(text))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as leave:
        code = int(leave.code or 0)
    finally:
        sys.argv, sys.stdin = before
    return Outcome(code, out.getvalue(), err.getvalue())


def done(outcome: Outcome) -> Outcome:
    """Return the outcome of a command that had to succeed."""
    assert outcome.code == 0, outcome.err
    return outcome


def sentences() -> list[str]:
    """Distinct English sentences in a fixed order; the last ones are the test set."""
    found = [" ".join(words) for words in itertools.permutations(WORDS, 3)]
    random.Random(0).shuffle(found)
    return found


def spell(english: str, language: str) -> str:
    """Translate word for word; each language spells the words in its own way."""
    if language == "eng_Latn":
        return english
    return " ".join(WORDS[word] + language[0] * 2 for word in english.split())


@dataclass(frozen=True)
class World:
    """Where everything is."""

    folder: Path
    base: Path

    @property
    def pairs(self) -> str:
        return f"{self.folder}/{{a}}-{{b}}.tsv"

    @property
    def testset(self) -> str:
        return f"{self.folder}/test.{{lang}}.txt"

    def library(self, scope: str) -> Path:
        """The folder of the library with German and Esperanto; tests that change it work on a copy."""
        return self.folder / scope

    def add(self, library: Path, *words: str, scope: str = "span", pairs: str | None = None) -> Outcome:
        """Add languages with the small settings."""
        options = ("--pairs", pairs or self.pairs, "--library", library, "--base", self.base, "--device", "cpu")
        return lingraft("add", *words, *options, *SETTINGS, f"fit.scope={scope}")


def build(folder: Path) -> World:
    """Write base, text and both libraries."""
    world = World(folder, tiny.base("llama", folder))
    lines = sentences()
    for language in LANGUAGES:
        a, b = sorted((language, "eng_Latn"))
        rows = [f"{spell(line, a)}\t{spell(line, b)}\n" for line in lines[:TRAIN]]
        (folder / f"{a}-{b}.tsv").write_text("".join(rows))
    for language in (*LANGUAGES, "eng_Latn"):
        (folder / f"test.{language}.txt").write_text("".join(spell(x, language) + "\n" for x in lines[-TEST:]))
    for scope in ("span", "everywhere"):
        done(world.add(world.library(scope), "German", "epo_Latn", scope=scope))
    return world


def picture(path: Path) -> dict[str, tuple[bytes, int]] | None:
    """Bytes and time of change of every file, the lock aside; None where there is nothing."""
    if not path.exists():
        return None
    return {
        str(file.relative_to(path)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }
