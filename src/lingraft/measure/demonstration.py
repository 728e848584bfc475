"""The embedded demo: three constructed languages on a small base, from English pairs alone."""

from __future__ import annotations

from pathlib import Path

from lingraft.atoms import ENGLISH
from lingraft.base import Base
from lingraft.corpus import TestSet, phrasebook, read_testset
from lingraft.fit import Modular, Reporter
from lingraft.library import Library, disk
from lingraft.library.grow import grow
from lingraft.library.plan import plan
from lingraft.measure.results import Results

LANGUAGES = ("epo_Latn", "ina_Latn", "ido_Latn")
SAMPLES = (("epo_Latn", "ido_Latn"), ("ido_Latn", "ina_Latn"), ("ina_Latn", "epo_Latn"))
TRAIN, DEV, TEST = 3800, 150, 120  # sentences; enough to learn from, little enough for five minutes on two cores
_PAIRS = "{a}-{b}.tsv.gz"
REGIME = Modular(epochs=1, rows=4, learning_rate=4e-3, bridge=0.5, tokens=3000)

INTRODUCTION = """\
Lingraft demo: a small frozen base learns Esperanto, Interlingua and Ido from English pairs alone.
Each language gets two adapters, one as source and one as target. Then any two are composed, and all six
directions between the three are measured, none of which was ever trained.
"""


def prepare(out: Path) -> tuple[Path, TestSet]:
    """Write the phrasebook and return its folder and its test set.

    Args:
        out: The folder of the demo; made if there is none.

    Returns:
        The phrasebook's folder, and the sentences to measure on.

    Raises:
        LibraryError: The disk is full or failed.
    """
    folder = out / "phrasebook"
    made = phrasebook.generate(train=TRAIN, dev=DEV, test=TEST)
    with disk.reported(folder):
        made.write(folder)
    tests = read_testset(str(folder / "multi" / "test.{lang}.txt.gz"), (*LANGUAGES, ENGLISH), None)
    return folder, tests


def train(base: Base, path: Path, text: Path, reporter: Reporter, command: str) -> Library:
    """Add the three languages in one run, from a phrasebook's folder, unless an earlier demo already did."""
    there = Library.open(path, base).languages() if (path / "library.json").is_file() else ()
    missing = [language for language in LANGUAGES if language not in there]
    if missing:
        pairs, dev = (str(text / part / _PAIRS) for part in ("train", "dev"))
        wanted = plan(base, missing, pairs, dev_pattern=dev, regime=REGIME)
        grow(base, path, wanted, reporter=reporter, command=command)
    return Library.open(path, base)


def sentences(tests: TestSet) -> dict[str, str]:
    """Return one test sentence in each language, the same one."""
    longest = max(range(TEST), key=lambda i: len(tests.lines[ENGLISH][i]))
    return {language: lines[longest] for language, lines in tests.lines.items()}


def farewell(results: Results, out: Path, seconds: float) -> str:
    """Return the last words: what was reached, where it is, what to try next."""
    summary = results.summary
    direct = summary["without_pivot"]["direct"]["chrf++"]
    base = summary["without_pivot"]["base"]["chrf++"]
    pivot = summary["without_pivot"]["pivot"]["chrf++"]
    return f"""
Six directions nobody trained: {direct:.1f} chrF++ directly, {pivot:.1f} through English, {base:.1f} by the base alone.
It took {seconds / 60:.1f} minutes. Report: {out / "report.html"}

Try next:
  echo "La hundo dormas." | lingraft translate --from Esperanto --to Ido --library {out / "library"}
  lingraft list --library {out / "library"}
  lingraft add YOUR_LANGUAGE --pairs 'DIR/{{a}}-{{b}}.tsv.gz' --library {out / "library"}"""
