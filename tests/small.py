"""A small library of random adapters on a tiny base, both on disk, and a dev set for it."""

from __future__ import annotations

import gzip
from pathlib import Path

import banks
import tiny
from lingraft.atoms import Role
from lingraft.base import load
from lingraft.corpus.profile import Profile
from lingraft.library import DataSource, LanguageModule, Library, Record, Training

LANGUAGES = ("deu_Latn", "epo_Latn", "fra_Latn")
TEXTS = {"deu_Latn": tiny.TEXTS[1], "fra_Latn": tiny.TEXTS[2], "epo_Latn": tiny.TEXTS[3], "eng_Latn": tiny.TEXTS[0]}


def library(folder: Path, family: str = "llama", *, scoped: bool = False, size: float = 0.3) -> tuple[Library, Path]:
    """Write base and library; return the library, opened, and the base's folder."""
    where = tiny.base(family, folder)
    base = load(str(where))
    training = Training(seed=0, settings={}, steps=1, best_epoch=1, dev_loss=None, lingraft="0", torch="2", command="")
    record = Record(data=(DataSource(origin="toy", pairs=1),), training=training)
    modules = {
        code: LanguageModule(
            *(banks.adapter(base, code, role, scoped=scoped, size=size) for role in Role),
            record,
            record,
            Profile.train(code, [TEXTS[code]]),
        )
        for code in LANGUAGES
    }
    made = Library.create(folder / "library", base, scope="span" if scoped else "everywhere")
    made.add(modules)
    return made, where


def lines(language: str, count: int) -> list[str]:
    """Short texts of a language, the same for all languages by number."""
    words = TEXTS[language].split()
    return [" ".join(words[i % 5 : i % 5 + 2 + i % 3]) for i in range(count)]


def testset(folder: Path, count: int) -> str:
    """Write a dev set of all languages; return its pattern."""
    for language in TEXTS:
        with gzip.open(folder / f"dev.{language}.txt.gz", "wt", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines(language, count)))
    return str(folder / "dev.{lang}.txt.gz")
