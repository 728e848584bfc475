"""Runs that were trained to the end: what they are to install, so that an installation that failed is gone on with.

The note lies in the run's own folder, and goes with it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lingraft.atoms import TrainingError
from lingraft.atoms.durable import write_file
from lingraft.fit.checkpoint import Checkpoints
from lingraft.library import disk

_NAME = "finished.json"
_BYTES = 1_000_000


def note(run: Checkpoints, causes: Mapping[str, str]) -> None:
    """Write down what a run is to install, now that it is trained.

    Args:
        run: The run.
        causes: Language → the hash of all that decided its adapters, in the order of the plan.

    Raises:
        LibraryError: The disk is full or failed.
    """
    path = run.folder / _NAME
    with disk.reported(path):
        write_file(path, json.dumps(causes).encode())


def is_there(work: Path, causes: Mapping[str, str]) -> bool:
    """Say whether a run of just these languages is trained to the end, though not all of them may be installed."""
    return any(list(found.items()) == list(causes.items()) for _, found in _notes(work))


def sweep(work: Path, installed: Callable[[str, str], bool]) -> None:
    """Remove the runs of which all is installed: their process ended before it came to that.

    Args:
        work: The folder of all runs.
        installed: Says of a language and a cause whether what is installed came of it.
    """
    for folder, causes in _notes(work):
        run = Checkpoints(work, folder.name)
        with contextlib.suppress(TrainingError, OSError), run.held():  # else another process is at it
            if all(installed(language, cause) for language, cause in causes.items()):
                run.clear()


def _notes(work: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the folders that have a note, and what it says; what is no note is left alone."""
    for path in sorted(work.glob(f"*/{_NAME}")):
        with contextlib.suppress(OSError, ValueError):
            if path.is_symlink() or path.stat().st_size > _BYTES:
                continue
            found = json.loads(path.read_bytes())
            if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
                yield path.parent, found
