"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Tiny models have nothing for a second thread to do, and two workers with two threads each wait for one another.
# Set before torch is imported; the programs that tests start have it too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if not any(Path(f"/dev/nvidia{i}").exists() for i in range(8)):
    os.environ.setdefault("TRITON_INTERPRET", "1")  # has to stand before anything imports Triton

settings.register_profile("lingraft", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("lingraft")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real text beside the project (LINGRAFT_DATA overrides), or skip the test."""
    folder = Path(os.environ.get("LINGRAFT_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real text is not there ({folder}); set LINGRAFT_DATA to its folder")
    return folder
