"""Freed memory goes back to the system."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lingraft.serve.allocator import _OWN, _glibc, give_back

PROBE = """
import ctypes, sys
from lingraft.serve.allocator import give_back
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]
info = ctypes.CDLL(None).mallinfo2
info.restype = Info
if sys.argv[1] == "yes":
    assert give_back()
bytearray(20 << 20)  # made and freed: from now on, glibc would take blocks of this size from its heap
before = info().hblks
kept = bytearray(2 << 20)
print(info().hblks - before)
"""

glibc = pytest.mark.skipif(not _glibc(), reason="the C library is not glibc")


@glibc
@pytest.mark.parametrize(("asked", "mapped"), [("yes", 1), ("no", 0)])
def test_large_blocks_are_mapped_one_by_one(asked, mapped):
    environment = {name: value for name, value in os.environ.items() if name not in _OWN}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, asked], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == mapped


@pytest.mark.parametrize("name", _OWN)
def test_what_the_environment_says_holds(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert not give_back()
