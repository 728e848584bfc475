"""Files read only where they are what they seem, and written whole or not at all, durably."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from lingraft.atoms import LibraryError
from lingraft.atoms.durable import draft_of, new_file, sync
from lingraft.library.refusal import refuse

_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_plain_folder(path: Path) -> bool:
    """Say whether ``path`` is a folder and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def read_file(root: Path, parts: tuple[str, ...], limit: int) -> bytearray:
    """Return the bytes of a regular file under ``root`` that no link leads out of.

    Args:
        root: A folder that is trusted, itself possibly reached through a link.
        parts: The names that lead from it to the file.
        limit: Most bytes; checked before anything is allocated.

    Returns:
        All bytes of the file, as a buffer of its own.

    Raises:
        AdapterError: It is missing, a link or no regular file, too large (it is damaged), or the disk
            fails (it is ``adapter.unreadable``, and may well be intact).
    """
    path = root.joinpath(*parts)
    try:
        for depth in range(1, len(parts)):
            if not is_plain_folder(folder := root.joinpath(*parts[:depth])):
                raise refuse("missing", f"`{folder}` must be a folder, but is missing or a link. Get it again.")
        # O_NONBLOCK: opening a named pipe must not wait for its writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            return _read(handle, path, limit)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise refuse("missing", f"`{path}` must be there, but is missing. Get the adapter again.") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise refuse("file", f"`{path}` must be a plain file, but is a link instead. Get it again.") from None
        raise refuse(
            "unreadable", f"`{path}` must be readable, but reading failed: {error.strerror}. Try again."
        ) from None


def _read(handle: int, path: Path, limit: int) -> bytearray:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise refuse("file", f"`{path}` must be a plain file, but is something else instead. Get it again.")
    if status.st_size > limit:
        raise refuse("size", f"`{path}` must have at most {limit} bytes, but has {status.st_size} instead.")
    data, done = bytearray(status.st_size), 0
    with open(handle, "rb", buffering=0, closefd=False) as file:
        while done < len(data) and (count := file.readinto(memoryview(data)[done:])):
            done += count
    if done < len(data):
        raise refuse("size", f"`{path}` must have {len(data)} bytes, but ends after {done}. Is it being written?")
    return data


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make the folder ``path`` with ``files`` in one step, durably.

    Folders above it are made where they are missing. What stands there is damaged, and is put aside only
    once all is written that comes in its place.
    """
    make_folder(path.parent)
    draft, aside = draft_of(path), draft_of(path)
    try:
        os.mkdir(draft)
        for name, data in files.items():
            new_file(draft / name, data)
        sync(draft)
        if os.path.lexists(path):
            os.rename(path, aside)
        os.rename(draft, path)
    except BaseException:
        discard(draft)
        raise
    sync(path.parent)
    discard(aside)


def make_folder(path: Path) -> None:
    """Make ``path`` and the folders above it, each durably."""
    if not path.is_dir():
        make_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        sync(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file durably."""
    os.unlink(path)
    sync(path.parent)


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what the disk says while ``path`` is written into an error for a person.

    Args:
        path: What is being written, as the message names it.

    Raises:
        LibraryError: The disk is full or failed; the state before is kept.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"the disk must have room for `{path}`, but the disk is full. Make room and run it again"
        else:
            message = f"`{path}` must be writable, but writing failed: {error.strerror or error}. Mend it and run again"
        failure = LibraryError(f"{message}; what was there before is kept.")
        failure.code = "library.disk"
        raise failure from error


def sync_all(folder: Path) -> None:
    """Flush a folder and every file in it to the disk: what another program's code has written there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            sync(path)
    sync(folder)


def discard(path: Path) -> None:
    """Remove a file or folder if it is there; what cannot be removed is left to the next writer."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)
