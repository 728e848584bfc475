"""One world for all stories of a process."""

from __future__ import annotations

import shutil

import pytest
import stage


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> stage.World:
    """A base, text, and two libraries that no test may change."""
    return stage.build(tmp_path_factory.mktemp("world"))


@pytest.fixture
def library(world, tmp_path):
    """A copy of the library whose adapters act on their own spans."""
    return shutil.copytree(world.library("span"), tmp_path / "library")
