"""vLLM itself, in an environment of its own, gives the tokens of our engine.

Run with the Python of an environment that has vLLM and Lingraft's dependencies (its CPU build computes with adapters
in float32): ``LINGRAFT_VLLM_PYTHON=…/bin/python pytest -m soak tests/serve/test_vllm_real.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import banks
import lingraft
from library import shelf
from lingraft.atoms import ENGLISH, Direction, Role
from lingraft.base import load
from lingraft.base.format import until
from lingraft.base.load import demo_folder
from lingraft.direction import attach
from lingraft.library import LanguageModule, Library
from lingraft.library.using import router

PYTHON = os.environ.get("LINGRAFT_VLLM_PYTHON", "")
LANGUAGES = ("deu_Latn", "epo_Latn", "fra_Latn", "rus_Cyrl")
TEXTS = ("Das Haus ist groß.", "La granda hundo dormas en la domo.", "Yes")
PATIENCE = 600.0
"""Seconds until the server must be ready."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not PYTHON, reason="LINGRAFT_VLLM_PYTHON names no Python with vLLM"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    """Random adapters that act everywhere, strong enough to be heard."""
    base = load(str(demo_folder()))
    library = Library.create(tmp_path_factory.mktemp("lib") / "x", base, scope="everywhere")
    for language in LANGUAGES:
        parts = [banks.adapter(base, language, role, rank=4, size=0.05) for role in Role]
        library.add({language: LanguageModule(*parts, shelf.record(), shelf.record(), shelf.profile(language))})
    return library


@pytest.fixture(scope="module")
def server(library, tmp_path_factory) -> Iterator[str]:
    """Address of vLLM's server; a folder on its path has the entry point that an installed package would have."""
    folder = tmp_path_factory.mktemp("vllm")
    entry = folder / "lingraft_plugin-0.dist-info"
    entry.mkdir()
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: lingraft-plugin\nVersion: 0\n")
    (entry / "entry_points.txt").write_text("[vllm.general_plugins]\nlingraft = lingraft.serve.vllm_plugin:register\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(Path(lingraft.__file__).parents[1]), str(folder))),
        "LINGRAFT_LIBRARY": str(library.path),
        "LINGRAFT_VLLM_CACHE": str(folder / "cache"),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # as many threads as OMP_NUM_THREADS says
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    options = ("--dtype", "float32", "--enforce-eager", "--max-model-len", "512", "--enable-lora",
               "--max-lora-rank", "8", "--max-loras", "4", "--max-cpu-loras", "32")  # fmt: skip
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(demo_folder()), "--port", str(port)]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *options], env=environment, stdout=out, stderr=out, start_new_session=True
        )
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    try:
        while _post(f"{address}/health", None)[0] != 200:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(1)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _post(address: str, body: dict | None) -> tuple[int, dict]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")
    except OSError:
        return 0, {}


def ours(library: Library, where: Direction, monkeypatch) -> list[list[int]]:
    """The token ids of our engine, up to the end."""
    given: list[list[int]] = []
    with monkeypatch.context() as patch, attach(library.base, router(library, [where])) as translator:
        end = library.base.format.end
        patch.setattr(library.base.format, "decode", lambda ids: given.append(list(until(list(ids), end))) or "x")
        for text in TEXTS:
            translator.translate([text], where, max_tokens=24)
    return given


def test_all_directions_have_the_tokens_of_our_engine(library, server, monkeypatch):
    base, seen = library.base, set()
    sides = (*LANGUAGES, ENGLISH)
    for where in (Direction(a, b) for a in sides for b in sides if a != b):
        rows = base.format.encode(where, TEXTS)
        wanted = ours(library, where, monkeypatch)
        for row, tokens in zip(rows, wanted, strict=True):
            status, answer = _post(
                f"{server}/v1/completions",
                {
                    "model": str(where),
                    "prompt": [*row.source, *row.target],
                    "temperature": 0,
                    "max_tokens": min(24, 2 * len(row.source) + 24),
                    "return_token_ids": True,
                },
            )
            assert status == 200, answer
            assert list(until(answer["choices"][0]["token_ids"], base.format.end)) == tokens, where
            seen.add(tuple(tokens))
    assert len(seen) > 30


def test_a_name_that_cannot_be_had_is_not_found_and_others_go_on(library, server):
    for name in ("deu_Latn-ita_Latn@none", "in.spa_Latn", "somebody"):
        status, _ = _post(f"{server}/v1/completions", {"model": name, "prompt": [5], "max_tokens": 1})
        assert status == 404, name
    status, _ = _post(f"{server}/v1/completions", {"model": "in.deu_Latn", "prompt": [5], "max_tokens": 1})
    assert status == 200
