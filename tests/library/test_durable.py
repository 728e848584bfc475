"""What is written is flushed in the right order, which no crash of the process alone could show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import shelf

from lingraft.atoms import durable
from lingraft.library import Library, disk
from lingraft.library.refusal import FILES

BASE = shelf.base(layers=1, names="qv")


class Recorder:
    """Stands in for ``os`` of the modules that write and notes what becomes durable, and in which order."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Path]] = []

    def __getattr__(self, name: str):
        return getattr(os, name)

    def fsync(self, handle: int) -> None:
        self.steps.append(("fsync", Path(os.readlink(f"/proc/self/fd/{handle}"))))

    def rename(self, old, new) -> None:
        self.steps.append(("rename", Path(new)))
        os.rename(old, new)

    def replace(self, old, new) -> None:
        self.steps.append(("replace", Path(new)))
        os.replace(old, new)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system doesn't say which file is flushed")
def test_everything_is_flushed_before_it_gets_its_name_and_the_pointer_comes_last(tmp_path, monkeypatch):
    library = Library.create(tmp_path.resolve() / "lib", BASE)
    recorder = Recorder()
    for module in (disk, durable):
        monkeypatch.setattr(module, "os", recorder)
    library.add({"rus_Cyrl": shelf.module(BASE, "rus_Cyrl")})
    steps = recorder.steps
    named = [i for i, (step, _) in enumerate(steps) if step != "fsync"]
    assert [steps[i][1].parent.name for i in named] == ["rus_Cyrl.source", "rus_Cyrl.target", "languages"]
    assert [steps[i][0] for i in named] == ["rename", "rename", "replace"]
    for i, files in zip(named, (FILES, FILES, ()), strict=True):
        path = steps[i][1]
        before = [place for _, place in steps[:i] if place.parent == path.parent or place.parent.parent == path.parent]
        drafts = {place for place in before if place.name.startswith(durable.DRAFT)}
        assert any({draft / name for name in files} <= set(before) for draft in drafts)
        assert steps[i + 1] == ("fsync", path.parent)
    assert ("fsync", library.path / "adapters") in steps
    assert ("fsync", library.path) in steps
