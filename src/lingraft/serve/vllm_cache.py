"""Composed adapters on disk for vLLM: folders named by what they hold, within a budget of bytes."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import filelock

from lingraft.atoms import LibraryError
from lingraft.atoms.durable import DRAFT
from lingraft.library import disk

_KEY = re.compile("[0-9a-f]{32}")  # nothing else in the folder is ever removed, whatever folder that is


class Cache:
    """A folder of folders that several processes may share.

    vLLM may read an adapter again at any time, once it has been told where it is. So what was given out stays until the
    process ends: a shared lock on the folder, which the system gives back even for a killed process, keeps others from
    removing it. Room is made from what nobody has, the one that was asked for the longest ago first.
    """

    def __init__(self, path: Path, budget: int) -> None:
        """Look at no folder yet.

        Args:
            path: The cache's folder; it is made when it is needed.
            budget: Most bytes of all that is in it.
        """
        self.path = path
        self.budget = budget
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}  # key → handle that carries the lock

    def get(self, key: str, write: Callable[[Path], None]) -> Path:
        """Return the folder of a key, which stays as long as this process lives.

        Args:
            key: A hash of all that the folder's content depends on, 32 hexadecimal digits.
            write: Makes the folder, in one step.

        Returns:
            The folder.

        Raises:
            LibraryError: There is no room, or the disk failed.
        """
        folder = self.path / key
        with self._lock:
            if key in self._held and folder.is_dir():
                return folder
            with disk.reported(self.path):
                disk.make_folder(self.path)
            with disk.reported(self.path), filelock.FileLock(self.path / ".lock"):
                for draft in self.path.glob(f"{DRAFT}*"):  # of a writer that was killed
                    disk.discard(draft)
                if not folder.is_dir():
                    write(folder)
                os.utime(folder)
                self._hold(key, folder)
                self._make_room(key)
        return folder

    def _hold(self, key: str, folder: Path) -> None:
        import fcntl

        if key in self._held:  # someone removed the folder by hand
            os.close(self._held.pop(key))
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_SH)
        self._held[key] = handle

    def _make_room(self, newest: str) -> None:
        """Remove what nobody has until the rest fits; where it doesn't, the newest goes."""
        folders = [each for each in self.path.iterdir() if _KEY.fullmatch(each.name) and each.is_dir()]
        sizes = {each: sum(file.stat().st_size for file in each.iterdir()) for each in folders}
        total = sum(sizes.values())
        for folder in sorted(folders, key=lambda each: each.stat().st_mtime_ns):
            if total <= self.budget:
                return
            if folder.name not in self._held and _let_go(folder):
                total -= sizes[folder]
        if total > self.budget:
            os.close(self._held.pop(newest))
            _let_go(self.path / newest)
            raise LibraryError(
                f"the cache `{self.path}` must have room for another adapter, but vLLM has {total} of {self.budget} "
                "bytes in use. Give it more (LINGRAFT_VLLM_CACHE_MB), or restart vLLM with fewer directions."
            )


def _let_go(folder: Path) -> bool:
    """Remove a folder unless a process has it, and say whether it is gone."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        disk.discard(folder)
        return True
    finally:
        os.close(handle)
