"""Adding several languages at once: what failed on the way is gone on with, and what is done is not done again."""

from __future__ import annotations

import copy
import errno
from dataclasses import dataclass
from pathlib import Path

import pytest

import tiny
from lingraft.atoms import ENGLISH, LibraryError
from lingraft.base import Base
from lingraft.fit import Modular, Silent
from lingraft.library import Library, disk, installing
from lingraft.library.grow import grow
from lingraft.library.plan import Plan, plan

REGIME = Modular(rank=2, epochs=1, rows=16, precision="fp32")
LANGUAGES = ("deu_Latn", "fra_Latn")


class Counting(Silent):
    """Counts the steps that it is told."""

    steps = 0

    def step(self, learner, loss) -> None:
        self.steps += 1


@dataclass
class Shelf:
    """A base, text, and where the library is."""

    base: Base
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "library"

    def plan(self, *languages: str, base: Base | None = None, **settings: object) -> Plan:
        base = base or self.base
        library = Library.open(self.path, base) if self.path.exists() else None
        regime = REGIME.model_copy(update=settings)
        return plan(base, languages, str(self.folder / "{a}-{b}.tsv"), regime=regime, library=library)

    def add(self, *languages: str, base: Base | None = None, **settings: object) -> int:
        """Add languages and return the steps that this took."""
        told = Counting()
        pointers = grow(base or self.base, self.path, self.plan(*languages, base=base, **settings), reporter=told)
        assert sorted(pointers) == sorted(languages)
        return told.steps

    @property
    def runs(self) -> list[str]:
        return sorted(path.name for path in (self.path / ".runs").iterdir())


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    for language in ("deu_Latn", "epo_Latn", "fra_Latn"):
        a, b = sorted((language, ENGLISH))
        (tmp_path / f"{a}-{b}.tsv").write_text("".join(f"{a[:3]} {i} a b\t{b[:3]} {i} c d\n" for i in range(24)))
    return Shelf(tiny.load("llama", layers=1), tmp_path)


def fail_at_pointer(monkeypatch, which: int) -> None:
    """Let the disk be full when the so-many-th pointer is written."""
    real, count = installing._point, 0

    def point(library, pointer):
        nonlocal count
        count += 1
        if count == which:
            with disk.reported(library.path):
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(library, pointer)

    monkeypatch.setattr(installing, "_point", point)


def test_what_was_trained_is_installed_once_there_is_room_again(shelf, monkeypatch):
    with monkeypatch.context() as patch:
        fail_at_pointer(patch, 2)
        with pytest.raises(LibraryError, match="disk is full"):
            shelf.add(*LANGUAGES)
    assert Library.open(shelf.path).languages() == ("deu_Latn",)
    first = Library.open(shelf.path).pointer("deu_Latn")
    assert shelf.add(*LANGUAGES) == 0
    assert shelf.runs == []
    assert Library.open(shelf.path).pointer("deu_Latn") == first
    whole = Shelf(shelf.base, shelf.folder / "other")
    whole.folder.mkdir()
    for text in shelf.folder.glob("*.tsv"):
        (whole.folder / text.name).write_text(text.read_text())
    assert whole.add(*LANGUAGES) > 0
    for language in LANGUAGES:
        assert Library.open(whole.path).pointer(language) == Library.open(shelf.path).pointer(language)


def test_a_run_that_others_made_needless_goes(shelf, monkeypatch):
    with monkeypatch.context() as patch:
        fail_at_pointer(patch, 2)
        with pytest.raises(LibraryError):
            shelf.add(*LANGUAGES)
    assert len(shelf.runs) == 1
    assert shelf.add("fra_Latn") > 0  # by itself it is another run
    assert shelf.runs == []


def test_a_run_whose_process_ended_while_it_was_cleared_goes(shelf, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("lingraft.fit.checkpoint.Checkpoints.clear", lambda _: None)
        shelf.add(*LANGUAGES)
    assert len(shelf.runs) == 1
    assert shelf.add(*LANGUAGES) == 0
    assert shelf.runs == []


def test_all_adapters_are_written_before_the_first_is_installed(shelf, monkeypatch):
    real, count = disk.write_folder, 0

    def write(path, files):
        nonlocal count
        count += 1
        if count == 3:  # of French
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, files)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_folder", write)
        with pytest.raises(LibraryError, match="disk is full"):
            shelf.add(*LANGUAGES)
    assert Library.open(shelf.path).languages() == ()
    assert shelf.add(*LANGUAGES) == 0


def test_the_same_training_with_partners_is_not_done_again(shelf):
    assert shelf.add("deu_Latn") > 0
    assert shelf.add("fra_Latn", partner=0.5) > 0
    assert shelf.add("fra_Latn", partner=0.5) == 0
    assert {name.language for name in shelf.plan("fra_Latn", partner=0.5).context.bank} == {"deu_Latn"}
    assert {name.language for name in shelf.plan("epo_Latn", partner=0.5).context.bank} == set(LANGUAGES)


def test_the_same_training_on_a_base_of_another_type_is_another_one(shelf):
    other = copy.copy(shelf.base)
    other.model = copy.deepcopy(shelf.base.model).bfloat16()
    assert shelf.add("deu_Latn") > 0
    assert shelf.add("deu_Latn", base=other) > 0
    assert shelf.add("deu_Latn", base=other) == 0
