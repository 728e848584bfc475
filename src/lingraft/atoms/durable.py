"""What makes a write outlive a crash of the machine."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

DRAFT = ".lingraft-draft-"
"""Start of the names of what is being written; readers never look at them."""


def draft_of(path: Path) -> Path:
    """Return a new name beside a path for what is to take its place."""
    return path.with_name(f"{DRAFT}{secrets.token_hex(8)}")


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def new_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file that must not exist, durably but for its folder's entry; of ``mode`` the umask takes its part."""
    with open(path, "xb", opener=partial(os.open, mode=mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a file to write, which then takes the place of ``path`` in one step, durably.

    On failure the old file stays, and nothing else.
    """
    draft = draft_of(path)
    try:
        yield draft
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    sync(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of ``path`` in one step, durably; on failure the old file stays, and nothing else."""
    with replacing(path) as draft:
        new_file(draft, data)
