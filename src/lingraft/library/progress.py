"""How far a training into a library is: a small file in its work folder, for who watches from another process.

``LIBRARY/.runs/progress-PID.json`` is replaced in one step every few seconds and removed at the end. It is a note, not
a record: where it can't be written, the training goes on without.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingraft.fit import Reporter, Several
from lingraft.fit.report import Silent

if TYPE_CHECKING:
    from lingraft.fit.learner import Learner

EVERY = 2.0
"""Seconds between two notes."""
_PLACE, _NAME = ".runs", "progress-"
_BYTES = 1_000_000
_SMOOTH = 0.98
_HEARD = 600.0
"""Seconds after its last note that a training on another machine is thought to be over."""


class Progress(Silent):
    """Keeps the note of one training; use as a context manager around it."""

    def __init__(self, library: Path, languages: Sequence[str]) -> None:
        """Write nothing yet.

        Args:
            library: The library's folder.
            languages: What is trained.
        """
        self._path = library / _PLACE / f"{_NAME}{os.getpid()}.json"
        self._began = self._written = 0.0
        self._before = 0
        self._note: dict[str, Any] = {
            "languages": list(languages),
            "pid": os.getpid(),
            "host": platform.node(),
            "started": time.time(),
            "state": "starting",
            "step": 0,
            "steps": None,
            "loss": None,
            "seconds_left": None,
            "adapters": {},
        }

    def __enter__(self) -> Progress:
        for path in _notes(self._path.parents[1]):  # of trainings on this machine that were killed
            with contextlib.suppress(OSError, ValueError):
                note = json.loads(path.read_text(encoding="utf-8"))
                if note.get("host") == platform.node() and not _runs(_pid(path)):
                    path.unlink()
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()

    def beside(self, reporter: Reporter | None) -> Reporter:
        """Return a reporter that tells this one and another, if there is one."""
        return self if reporter is None else Several(reporter, self)

    def prepare(self, what: str, done: int, total: int) -> None:
        """Note work that comes before training."""
        self._count(what, done, total)

    def start(self, total: int, done: int) -> None:
        """Note that training begins, or goes on."""
        self._began, self._before = time.monotonic(), done
        self._count("training", done, total)
        self._write()

    def step(self, learner: Learner, loss: float) -> None:
        """Note a step; the loss is smoothed over about fifty."""
        old = self._note["loss"]
        self._note["loss"] = _finite(loss) if old is None else _SMOOTH * old + (1 - _SMOOTH) * loss
        self._count("training", self._note["step"] + 1, self._note["steps"])

    def epoch(self, learner: Learner) -> None:
        """Note how an adapter does on its dev rows."""
        self._note["adapters"][learner.name] = {
            "epoch": learner.epoch,
            "dev_loss": _finite(learner.last_loss),
            "best_loss": _finite(learner.best_loss),
            "best_epoch": learner.best_epoch,
            "stopped": learner.stopped,
        }
        self._count("training", self._note["step"] + learner.past - learner.step, self._note["steps"])

    def _count(self, state: str, done: int, total: int | None) -> None:
        self._note |= {"state": state, "step": done, "steps": total}
        now = time.monotonic()
        if state == "training" and total and done > self._before:
            self._note["seconds_left"] = (total - done) * (now - self._began) / (done - self._before)
        if now - self._written >= EVERY:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        draft = self._path.with_suffix(".draft")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({**self._note, "updated": time.time()}), encoding="utf-8")
            os.replace(draft, self._path)


def trainings(library: Path) -> list[dict[str, Any]]:
    """Return the notes of the trainings that run into a library now.

    Args:
        library: Its folder.

    Returns:
        For each: ``languages``, ``state``, ``step``, ``steps``, ``loss`` (nats per target token, smoothed),
        ``seconds_left``, ``adapters`` (name → epoch and losses on the dev rows), ``pid``, ``host``, and ``started``
        and ``updated`` in seconds since 1970. What is not known yet is None.
    """
    found = []
    for path in _notes(library):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # it is no note
            if path.is_symlink() or path.stat().st_size > _BYTES:
                continue
            note = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
            here = note["host"] == platform.node()
            if _runs(_pid(path)) if here else time.time() - note["updated"] < _HEARD:
                found.append(note)
    return found


def _notes(library: Path) -> list[Path]:
    return sorted((library / _PLACE).glob(f"{_NAME}*.json"))


def _pid(path: Path) -> int:
    return int(path.stem.removeprefix(_NAME))


def _finite(number: float) -> float | None:
    """Return a number that JSON can hold."""
    return number if math.isfinite(number) else None


def _runs(pid: int) -> bool:
    """Say whether a process of this machine is still there; one that was killed leaves its note behind."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it is another user's
    return True
