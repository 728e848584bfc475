"""Options of the C library's allocator."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Numbers of glibc's options, from its malloc.h."""


def set_options(options: Mapping[int, int]) -> bool:
    """Set options for the rest of the process, in order.

    Args:
        options: Number of the option → its value.

    Returns:
        Whether all were taken; on systems without ``mallopt`` none is.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    taken = [bool(mallopt(option, value)) for option, value in options.items()]
    return all(taken)
