"""What the runs of runs/lslo.py print while they train, and how their results are written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from lingraft.atoms.durable import write_file
from lingraft.fit import Silent
from lingraft.fit.learner import Learner
from lingraft.library.disk import make_folder

PRINT_SECONDS = 30


def write_json(path: Path, data: Any) -> None:
    """Write a result in one step: where it is there, it is whole."""
    make_folder(path.parent)
    write_file(path, (json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode())


class Watch(Silent):
    """Prints where a run is every half minute, and adds up its seconds over interruptions."""

    def __init__(self, name: str, path: Path) -> None:
        """Go on counting from the number in the file, where there is one."""
        self.seconds = 0.0
        self._name, self._path = name, path
        self._before = json.loads(path.read_text()) if path.exists() else 0.0

    def start(self, total: int, done: int) -> None:
        """Start the clock."""
        self._total, self._first, self._done = total, done, done
        self._since = self._printed = time.monotonic()
        if not done:
            self._before = 0.0

    def step(self, learner: Learner, loss: float) -> None:
        """Print a line if it is time."""
        self._done += 1
        if time.monotonic() - self._printed >= PRINT_SECONDS:
            self._print(f"loss {loss:.3f}")

    def epoch(self, learner: Learner) -> None:
        """Print the dev loss."""
        self._print(f"epoch {learner.epoch}, dev {learner.last_loss:.4f}, best {learner.best_loss:.4f}")

    def finish(self) -> None:
        """Keep the number of seconds."""
        self._keep()

    def _print(self, what: str) -> None:
        self._printed = time.monotonic()
        self._keep()
        left = (self._printed - self._since) / (self._done - self._first) * (self._total - self._done)
        print(
            f"{self._name}: step {self._done} of {self._total}, {what}, {self.seconds / 60:.1f} min, "
            f"at most {left / 60:.1f} min left",
            flush=True,
        )

    def _keep(self) -> None:
        self.seconds = self._before + time.monotonic() - self._since
        make_folder(self._path.parent)
        write_file(self._path, json.dumps(self.seconds).encode())
