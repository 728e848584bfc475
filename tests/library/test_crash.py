"""The disk fails, or the writer is killed, at every single step: old state or new, and a retry succeeds."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import shelf

from lingraft.atoms import AdapterError, LibraryError, Role, durable
from lingraft.library import Library, check, disk, save_composition

BASE = shelf.base(layers=1, names="qv")
STEPS = ("fsync", "replace", "rename", "mkdir", "unlink", "open")


class Killed(BaseException):
    """The process is no more; nothing of it runs on."""


class FaultyDisk:
    """Stands in for ``os``, ``open`` and ``shutil`` of the disk module and fails at the ``at``-th step.

    With ``errno_`` that step alone fails; without, the process is dead from there on, so that no
    cleaning up happens either. A write that fails leaves half of its bytes.
    """

    def __init__(self, at: int, errno_: int | None) -> None:
        self.at, self.errno, self.step = at, errno_, 0

    def check(self) -> None:
        self.step += 1
        if self.errno is None and self.step >= self.at:
            raise Killed
        if self.step == self.at:
            raise OSError(self.errno, os.strerror(self.errno or 0))

    def __getattr__(self, name: str):
        real = getattr(os, name)
        return self.wrap(real) if name in STEPS else real

    def wrap(self, real):
        def call(*args, **kwargs):
            self.check()
            return real(*args, **kwargs)

        return call

    def rmtree(self, path, ignore_errors=False) -> None:
        try:
            self.check()
        except OSError:
            return  # as errors are ignored
        shutil.rmtree(path, ignore_errors=ignore_errors)

    def file(self, path, mode="r", **kwargs):
        if "x" not in mode:
            return open(path, mode, **kwargs)
        self.check()
        handle = open(path, mode, **kwargs)  # noqa: SIM115 - closed by the stand-in below
        real = handle.write
        faulty = self

        class Half:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                handle.close()

            def write(self, data):
                try:
                    faulty.check()
                except BaseException:
                    real(data[: len(data) // 2])
                    raise
                real(data)

            flush, fileno = handle.flush, handle.fileno

        return Half()


RUSSIAN, NEWER = shelf.module(BASE, "rus_Cyrl"), shelf.module(BASE, "deu_Latn", seed=1)
ACTS = {
    "add": lambda library: library.add({"rus_Cyrl": RUSSIAN}),
    "update": lambda library: library.add({"deu_Latn": NEWER}),
    "remove": lambda library: library.remove("deu_Latn"),
}


@pytest.fixture(scope="module")
def shelved(tmp_path_factory) -> Path:
    library = Library.create(tmp_path_factory.mktemp("lib") / "x", BASE)
    library.add({language: shelf.module(BASE, language) for language in ("deu_Latn", "epo_Latn")})
    return library.path


def state(library: Library):
    """What a reader sees; loading it proves that it is whole."""
    assert [finding for finding in check(library, BASE) if finding.severe] == []
    return {language: library.pointer(language) for language in library.languages()}


def break_at(
    monkeypatch, at: int, errno_: int | None, act, library: Library
) -> tuple[FaultyDisk, BaseException | None]:
    faulty = FaultyDisk(at, errno_)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "os", faulty)
        patch.setattr(durable, "os", faulty)
        patch.setattr(disk, "shutil", faulty)
        patch.setattr(durable, "open", faulty.file, raising=False)
        try:
            act(library)
        except (Killed, LibraryError, AdapterError) as error:
            return faulty, error
    return faulty, None


@pytest.mark.parametrize(
    ("name", "errno_"),
    [(name, fault) for name in ACTS for fault in (None, errno.ENOSPC)] + [("update", errno.EIO)],
)
def test_every_crash_point_leaves_the_old_state_or_the_new(name, errno_, shelved, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # slow, and a step of the faulty disk all the same
    act = ACTS[name]
    done = Library.open(shutil.copytree(shelved, tmp_path / "done"), BASE)
    old = state(done)
    act(done)
    new = state(done)
    at = failures = 0
    while True:
        at += 1
        library = Library.open(shutil.copytree(shelved, tmp_path / str(at)), BASE)
        others = shelf.picture(library.path, without="deu_Latn")
        faulty, error = break_at(monkeypatch, at, errno_, act, library)
        found = state(library)
        assert found in (old, new)
        if error is None:
            assert found == new
            if faulty.step < at:
                break
        else:
            failures += 1
        if isinstance(error, LibraryError):
            assert error.code in ("library.disk", "library.unreadable")
            assert error.code != "library.disk" or ("disk is full" in str(error)) == (errno_ == errno.ENOSPC)
            assert not library.places.drafts()
        assert shelf.picture(library.path, without="deu_Latn").items() >= others.items()
        if name == "remove" and "deu_Latn" not in library.languages():
            with library.places.writing(1.0):  # the next writer, whoever it is, sweeps
                pass
        else:
            act(library)
        assert state(library) == new
        assert check(library, BASE) == []
        shutil.rmtree(library.path)
    assert failures >= (3 if name == "remove" else 20)


def test_a_full_disk_leaves_no_half_export(tmp_path, monkeypatch):
    updates = shelf.adapter(BASE, "deu_Latn", Role.SOURCE).updates
    act = lambda _: save_composition(updates, BASE, tmp_path / "out")
    at, error = 1, None
    while not (tmp_path / "out").exists():
        _, error = break_at(monkeypatch, at, errno.ENOSPC, act, None)
        assert isinstance(error, LibraryError)
        assert not list(tmp_path.glob(f"{durable.DRAFT}*"))
        at += 1
    # It is whole, though the last step, to make its name last, failed.
    assert at > 8
    assert len(list((tmp_path / "out").iterdir())) == 2


SCRIPT = """
import os, random, signal, sys, time
import shelf
from lingraft.library import Library, check
base, rng = shelf.base(layers=1, names="qv"), random.Random(int(sys.argv[2]))
library = Library.create(sys.argv[1], base)
library.add({"deu_Latn": shelf.module(base, "deu_Latn")})
for trial in range(12):
    child = os.fork()
    if not child:
        while True:
            library.add({"deu_Latn": shelf.module(base, "deu_Latn", seed=rng.randrange(10**6))})
            library.add({"epo_Latn": shelf.module(base, "epo_Latn", seed=rng.randrange(10**6))})
            library.remove("epo_Latn")
    time.sleep(rng.uniform(0.002, 0.12))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = check(library, base)
    assert not [each for each in found if each.severe], found
    assert "deu_Latn" in library.languages() and library.bank()
library.add({"deu_Latn": shelf.module(base, "deu_Latn", seed=-1)})
assert check(library, base) == [], check(library, base)
print("whole")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_writer_may_be_killed_at_any_time(tmp_path):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "lib"), "3"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.stdout.strip() == "whole", done.stderr
