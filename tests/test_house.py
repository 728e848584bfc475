"""The house: a quick front door, files of a readable length, and data that travels in the package."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import statistics
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import get_args

import click
import pytest

import lingraft
from lingraft.cli import VERBS, Verbs, app, main
from lingraft.library.ctranslate import QUANTIZATIONS
from lingraft.measure.row import VIAS
from lingraft.probe.search import Sampler
from lingraft.probe.search_run import LEAST, Wanted
from lingraft.probe.search_space import Over
from lingraft.verbs.options import Does

SOURCE = Path(lingraft.__file__).parent
ROOT = SOURCE.parents[1]
HEAVY = ("torch", "transformers", "pydantic", "numpy", "sacrebleu", "safetensors", "langcodes")


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not say what a child cost")
@pytest.mark.parametrize("verb", [(), ("translate",)], ids=" ".join)
def test_help_takes_less_than_half_a_second(verb):
    import resource

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "lingraft", *verb, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "translate" in done.stdout
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert statistics.median(seconds() for _ in range(3)) < 0.5


def test_help_imports_nothing_heavy():
    script = (
        "import sys, json; from click.testing import CliRunner; from lingraft.cli import VERBS, app;"
        "said = [CliRunner().invoke(app, [*verb, '--help']) for verb in [[], *([verb] for verb in VERBS)]];"
        "assert all(each.exit_code == 0 and 'Usage' in each.output for each in said);"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def commands() -> dict[str, click.Command]:
    """Every command by its words."""
    found = {}
    for verb in VERBS:
        command = app.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        below = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{verb} {name}": each for name, each in below.items()} or {verb: command}
    return found


@pytest.mark.parametrize("words", commands())
def test_every_verb_says_what_it_does_and_asks_for_what_that_takes(words):
    command = commands()[words]
    assert command.help
    assert isinstance(command.callback, Does)
    takes = inspect.signature(command.callback.function()).parameters.values()
    named = {each.name for each in takes if each.kind is not each.VAR_KEYWORD}
    more = {field.name for field in dataclasses.fields(Wanted)} if words == "search" else set()
    assert {param.name for param in command.params} == named | more


def test_a_verb_that_is_none_is_not_found():
    assert app.get_command(None, "trnslate") is None  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [None, 0, 3])
def test_the_exit_code_of_a_verb_is_that_of_the_program(code, monkeypatch):
    def leave(ctx: click.Context) -> None:
        if code is not None:
            ctx.exit(code)

    verb = click.Command("x", callback=click.pass_context(leave))
    monkeypatch.setattr(Verbs, "get_command", lambda *_: verb)
    monkeypatch.setattr(sys, "argv", ["lingraft", "x"])
    with pytest.raises(SystemExit) as left:
        main()
    assert (left.value.code or 0) == (code or 0)


def test_a_reader_that_is_gone_is_no_traceback():
    script = "import os, sys, click; from lingraft import cli; r, w = os.pipe(); os.close(r); os.dup2(w, 1);"
    script += "cli.Verbs.get_command = lambda *_: click.Command('x', callback=lambda: click.echo('a'));"
    script += "sys.argv = ['lingraft', 'x']; cli.main()"
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("words", "option", "known"),
    [
        ("export", "quantization", QUANTIZATIONS),
        ("search", "sampler", (*get_args(Sampler), "gradient")),
        ("search", "over", get_args(Over)),
    ],
)
def test_choices_are_those_that_the_code_knows(words, option, known):
    (given,) = (param for param in commands()[words].params if param.name == option)
    assert tuple(given.type.choices) == known


def test_defaults_are_those_that_the_code_knows():
    given = {(words, param.name): param for words, each in commands().items() for param in each.params}
    assert tuple(given["measure", "vias"].default.split(",")) == VIAS
    assert given["search", "limit"].type.min == 3 * LEAST
    for field in dataclasses.fields(Wanted):
        assert given["search", field.name].default == field.default, field.name


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
