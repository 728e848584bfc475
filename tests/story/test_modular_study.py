"""The study of merging runs from end to end with a few rows, and goes on where it stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "tatoeba"


@pytest.mark.soak
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the Tatoeba files in ../shared/data")
def test_every_step_leaves_a_result_and_the_report_holds_all_of_them(tmp_path):
    def run(script: str, *words: str) -> str:
        command = [sys.executable, f"runs/{script}.py", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    study = ("modular_study", "--data", str(DATA), "--smoke", "--out", str(tmp_path / "out"))
    names = set(run(*study, "--list").split())
    run(*study)
    results = tmp_path / "out" / "results"
    there = {str(path.relative_to(results).with_suffix("")) for path in results.rglob("*.json")}
    assert there == names - {"headline/recipe"}  # nothing was searched
    assert run(*study).count("is there") == len(there)
    found = json.loads((results / "forgetting.json").read_text())
    assert found["before"] == found["after"]
    for _ in range(2):  # the second time between the marks
        run("modular_study_report", str(tmp_path / "out"), str(tmp_path / "docs"))
    text = (tmp_path / "docs" / "modular_study.md").read_text()
    for title in (
        "Headline",
        "Every direction",
        "How much data",
        "Rank and bridged rows",
        "mergeability",
        "epochs of",
        "depth",
        "phase",
    ):
        assert title in text
    assert set(json.loads((tmp_path / "docs" / "modular_study.json").read_text())["systems"]) == there
