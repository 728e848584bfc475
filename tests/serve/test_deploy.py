"""What is written about the service, against what it is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from lingraft.serve.gate import PUBLIC
from lingraft.serve.settings import ServeSettings
from lingraft.verbs.serve import serve

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def _commands() -> dict[str, list[str]]:
    unit = (ROOT / "deploy" / "lingraft.service").read_text(encoding="utf-8")
    container = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", container, re.MULTILINE)
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    return {"unit": shlex.split(start)[1:], "container": [word for each in lists for word in json.loads(each)][1:]}


@pytest.mark.parametrize("name", ["unit", "container"])
def test_the_commands_are_understood(name):
    verb, *words = _commands()[name]
    assert verb == "serve"
    context = serve.make_context("serve", [*words])
    assert context.params["path"] is not None
    assert context.params["port"] == 5000


def test_the_unit_waits_longer_than_the_service_takes_to_stop():
    words = _commands()["unit"]
    unit = (ROOT / "deploy" / "lingraft.service").read_text(encoding="utf-8")
    (timeout,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(timeout) > float(words[words.index("--grace") + 1]) + 5


def test_every_setting_is_explained_with_its_default():
    table = dict(re.findall(r"^\| `(\w+)`[^|]*\| (\w+) \|", DOCS, re.MULTILINE))
    settings = ServeSettings()
    for name in ServeSettings.model_fields:
        assert f"`{name}`" in DOCS
        if name in table:
            told = None if table[name] == "none" else float(table[name])
            assert told == getattr(settings, name), name
    assert len(table) == 8


def test_every_public_path_is_named():
    for path in PUBLIC:
        assert f"`{path}`" in DOCS or (path.startswith("/health") and "`/health…`" in DOCS)
