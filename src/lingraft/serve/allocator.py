"""The C library's allocator, told to give back what a service no longer uses."""

from __future__ import annotations

import ctypes
import os
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of glibc's options, from its malloc.h."""
_LARGE = 2**20
_SPARE = 2**23
_OWN = ("MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def give_back() -> bool:
    """Let freed memory go back to the system, where the C library is glibc; call it before threads are started.

    By default glibc takes large blocks from a heap as soon as some have been freed, and has a heap for each thread.
    Tensors of changing sizes leave holes there, which nobody else can use. Now blocks from 1 MiB on are mapped one
    by one, and all threads share one heap, which shrinks when more than 8 MiB at its end are free.

    Returns:
        Whether that was done: not where the environment says how memory is to be taken, nor on other systems.
    """
    if any(name in os.environ for name in _OWN) or not _glibc():
        return False
    set_option: Any = ctypes.CDLL(None).mallopt
    wanted = {_ARENA_MAX: 1, _MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: _SPARE}
    done = [bool(set_option(option, value)) for option, value in wanted.items()]
    return all(done)


def _glibc() -> bool:
    try:
        return "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (AttributeError, ValueError, OSError):
        return False
