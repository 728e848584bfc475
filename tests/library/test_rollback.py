"""Going back to earlier versions: in one step or not at all, nothing lost, and readers keep what they pinned."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
import shelf
from click.testing import CliRunner
from test_crash import FaultyDisk, Killed

from lingraft.atoms import AdapterError, AdapterName, LibraryError, Role, durable
from lingraft.cli import app
from lingraft.library import Library, check, disk
from lingraft.library.refusal import WEIGHTS

BASE = shelf.base(layers=1, names="qv")
BASE.languages = ()
LANGUAGE = "deu_Latn"


@pytest.fixture(scope="module")
def shelved(tmp_path_factory) -> Path:
    library = Library.create(tmp_path_factory.mktemp("lib") / "x", BASE)
    library.add({"epo_Latn": shelf.module(BASE, "epo_Latn")})
    for seed in range(3):
        library.add({LANGUAGE: shelf.module(BASE, LANGUAGE, seed=seed)})
    return library.path


@pytest.fixture
def library(shelved, tmp_path) -> Library:
    return Library.open(shutil.copytree(shelved, tmp_path / "lib"), BASE)


def served(library: Library, seed: int) -> bool:
    return all(shelf.same(library.load(LANGUAGE, r), shelf.adapter(BASE, LANGUAGE, r, seed=seed)) for r in Role)


def test_each_step_back_is_the_version_before_and_the_last_one_leads_home(library):
    before, others = library.pointer(LANGUAGE), shelf.picture(library.path, without=LANGUAGE)
    for seed in (1, 0, 2):
        pointer = library.rollback(LANGUAGE)
        assert pointer == library.pointer(LANGUAGE)
        assert served(library, seed)
        assert len(pointer.history) == 2
    assert library.pointer(LANGUAGE) == before
    assert shelf.picture(library.path, without=LANGUAGE) == others
    assert [finding for finding in check(library, BASE) if finding.severe] == []


def test_an_update_after_a_rollback_comes_after_it(library):
    library.rollback(LANGUAGE)
    library.add({LANGUAGE: shelf.module(BASE, LANGUAGE, seed=7)})
    library.rollback(LANGUAGE)
    assert served(library, 1)


def test_without_an_earlier_version_or_the_language_it_is_refused(library):
    with pytest.raises(LibraryError, match="first version"):
        library.rollback("epo_Latn")
    with pytest.raises(LibraryError, match="must be a language of"):
        library.rollback("fra_Latn")


def test_a_damaged_earlier_version_is_not_gone_back_to(library):
    before = library.pointer(LANGUAGE)
    place = library.places.folder(LANGUAGE, Role.TARGET) / before.history[-1].target / WEIGHTS
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    with pytest.raises(AdapterError):
        library.rollback(LANGUAGE)
    assert library.pointer(LANGUAGE) == before
    assert served(library, 2)


@pytest.mark.parametrize("failure", [errno.ENOSPC, None])
def test_at_every_step_that_fails_it_is_the_old_state_or_the_new(library, monkeypatch, failure):
    before, at, outcomes = library.pointer(LANGUAGE), 0, set()
    while True:
        at += 1
        faulty = FaultyDisk(at, failure)
        with monkeypatch.context() as patch:
            for module in (disk, durable):
                patch.setattr(module, "os", faulty)
            patch.setattr(durable, "open", faulty.file, raising=False)
            try:
                Library.open(library.path, BASE).rollback(LANGUAGE)
                told = True
            except (LibraryError, AdapterError, Killed):
                told = False
        new = library.pointer(LANGUAGE) != before
        assert served(library, 1 if new else 2)
        assert new or not told  # what was acknowledged is there
        outcomes.add((told, new))
        if faulty.step < at:
            break
        if new:
            library.rollback(LANGUAGE)
            library.rollback(LANGUAGE)
        assert library.pointer(LANGUAGE) == before
    assert outcomes >= {(False, False), (True, True)}
    assert at > 10


def test_a_pinned_library_stays_as_it_was(library):
    pinned = library.at({LANGUAGE: library.pointer(LANGUAGE)})
    library.rollback(LANGUAGE)
    assert pinned.languages() == (LANGUAGE,)
    assert pinned.pointer(LANGUAGE) != library.pointer(LANGUAGE)
    for role in Role:
        pointer, expected = pinned.pointer(LANGUAGE), shelf.adapter(BASE, LANGUAGE, role, seed=2)
        assert shelf.same(pinned.adapter(pointer, role), expected)
        assert shelf.same(pinned.decoded(AdapterName(LANGUAGE, role), pointer.of(role)).adapter, expected)
    with pytest.raises(LibraryError, match="in use"):
        pinned.pointer("epo_Latn")
    with pytest.raises(LibraryError, match="opened anew"):
        pinned.remove(LANGUAGE)
    assert library.languages() == (LANGUAGE, "epo_Latn")


def test_the_verb_goes_back_and_needs_no_base(library):
    done = CliRunner().invoke(app, ["rollback", "German", "--library", str(library.path)], catch_exceptions=False)
    assert done.output.startswith("rolled back German (deu_Latn): source ")
    assert served(library, 1)
