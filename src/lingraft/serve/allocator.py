"""The C library's allocator, told to give back what a service no longer uses."""

from __future__ import annotations

import os

from lingraft.atoms.malloc import ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD, set_options

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
    return set_options({ARENA_MAX: 1, MMAP_THRESHOLD: _LARGE, TRIM_THRESHOLD: _SPARE})


def _glibc() -> bool:
    try:
        return "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (AttributeError, ValueError, OSError):
        return False
