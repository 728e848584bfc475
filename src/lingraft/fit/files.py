"""Files of a run, written durably and whole or not at all."""

from __future__ import annotations

from pathlib import Path

from lingraft.atoms import TrainingError
from lingraft.atoms.durable import write_file


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step, and make its folder where it is missing.

    Args:
        path: The file; an older one is replaced.
        data: Its content.

    Raises:
        TrainingError: If the disk is full or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)
    except OSError as error:
        raise TrainingError(
            f"{path} could not be written: {error}. Make room and run the same command again."
        ) from error
