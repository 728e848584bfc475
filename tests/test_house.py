"""The house: a quick front door, files of a readable length, and data that travels in the package."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import lingraft

SOURCE = Path(lingraft.__file__).parent
ROOT = SOURCE.parents[1]
HEAVY = ("torch", "transformers", "pydantic", "numpy", "sacrebleu", "safetensors", "langcodes")


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not say what a child cost")
def test_help_takes_less_than_half_a_second():
    import resource

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "lingraft", "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "translate" in done.stdout
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert statistics.median(seconds() for _ in range(3)) < 0.5


def test_help_imports_nothing_heavy():
    script = (
        "import sys, json; sys.argv = ['lingraft', '--help']; from lingraft.cli import main; main();"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == []


def test_every_verb_exists_and_says_what_it_does():
    from lingraft.cli import VERBS, app

    for verb in VERBS:
        command = app.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        assert command.help
    assert app.get_command(None, "trnslate") is None  # type: ignore[arg-type]


def test_files_are_short_enough_to_read():
    long = {
        str(path.relative_to(SOURCE)): count
        for path in SOURCE.rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


def test_data_travels_in_the_package():
    package = resources.files("lingraft")
    profiles = [file.name for file in (package / "data" / "profiles").iterdir()]
    assert {"deu_Latn.json", "eng_Latn.json", "epo_Latn.json"} <= set(profiles)
    tables = [file.name for file in (package / "corpus" / "phrasebook" / "tables").iterdir()]
    assert {"grammar.txt", "nouns.tsv", "verbs.tsv"} <= set(tables)


def test_what_the_wheel_carries_is_all_that_git_knows_of():
    """Hatch packs what lies in the package and is not ignored, so no data file may be ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    data = [path for path in SOURCE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    names = "\n".join(str(path.relative_to(ROOT)) for path in data if "demo_base" not in path.parts)
    found = subprocess.run(["git", "check-ignore", "--stdin"], cwd=ROOT, input=names, capture_output=True, text=True)
    assert found.stdout == ""


def test_no_file_names_a_place_on_somebodys_machine():
    places = ("/home/", "/root/", "/Users/", os.sep + "work" + os.sep)
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(place in text for place in places), path


def test_documents_repeat_no_heading_and_their_links_lead_somewhere():
    """A heading that comes twice is an edit that went wrong; a link must lead somewhere."""
    found = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True)
    if not found.stdout:
        pytest.skip("this is no clone")
    for name in found.stdout.split("\n")[:-1]:
        text = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        headings = re.findall(r"^##? .*", text, flags=re.MULTILINE)
        assert len(headings) == len(set(headings)), name
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name}: {target}"
