"""The verb: a service that starts, answers over a socket, and ends well when it is told to."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket

import httpx
import pytest
import served
import torch
from click.testing import CliRunner

from lingraft.atoms import ConfigError
from lingraft.cli import app
from lingraft.serve.cli import _app, _loopback, _settings, listen, run, use_threads
from lingraft.serve.engine import Engine
from lingraft.serve.settings import ServeSettings
from lingraft.verbs.serve import Size


@pytest.fixture
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_core_is_left_to_what_reads_and_writes_unless_told_otherwise(monkeypatch):
    before = torch.get_num_threads()
    try:
        for environment, given, wanted in ((None, None, 2), (None, 1, 1), ("3", None, 3), ("3", 2, 2)):
            monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
            if environment:
                monkeypatch.setenv("OMP_NUM_THREADS", environment)
            torch.set_num_threads(3)
            use_threads(given)
            assert torch.get_num_threads() == wanted
        monkeypatch.delenv("OMP_NUM_THREADS")
        torch.set_num_threads(1)
        use_threads(None)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_sigterm_ends_the_service_when_what_is_there_is_answered(tmp_path, signals):
    library = served.library(tmp_path / "lib", ("deu_Latn", "fra_Latn"))
    engine = Engine(library, rows=2, patience=60.0, max_tokens=served.TOKENS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main():
        service = asyncio.create_task(run(engine, _app(engine, ServeSettings()), "127.0.0.1", port, 20.0))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            while True:
                try:
                    if (await client.get("/health/ready")).status_code == 200:
                        break
                except httpx.ConnectError:
                    await asyncio.sleep(0.01)
            ask = {"q": "the small dog", "source": "de", "target": "fr"}
            tasks = [asyncio.create_task(client.post("/translate", json=ask)) for _ in range(12)]
            there = 0
            while there < 12:
                await asyncio.sleep(0.001)
                there = engine.state().running + engine.state().queue + engine.state().answered
            assert engine.state().answered < 12
            os.kill(os.getpid(), signal.SIGTERM)
            answers = await asyncio.gather(*tasks)
        await service
        return answers

    answers = asyncio.run(asyncio.wait_for(main(), 60))
    assert [answer.status_code for answer in answers] == [200] * 12
    assert len({answer.json()["translatedText"] for answer in answers}) == 1
    assert {answer.headers["x-lingraft-via"] for answer in answers} == {"direct"}
    assert not engine.state().ready
    assert engine.state().answered == 12
    assert gc.get_freeze_count() == 0, "what is frozen at the end of the process is told as leaked"


@pytest.fixture
def taken():
    """A port that another program listens at."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_port_that_is_taken_is_told_before_the_base_is_read(tmp_path, taken):
    done = CliRunner().invoke(app, ["serve", "--library", str(tmp_path), "--port", str(taken)], standalone_mode=False)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == (
        f"`--port` must be free, but {taken} is taken by another program. Give another one, or 0 for any that is free, "
        "or end that program."
    )


def test_nothing_is_said_to_be_served_at_a_port_that_is_taken(tmp_path, taken, signals, caplog):
    engine = Engine(served.library(tmp_path / "lib", ("deu_Latn",)))
    with caplog.at_level(logging.INFO, "lingraft.serve"), pytest.raises(ConfigError, match="--port"):
        asyncio.run(run(engine, _app(engine, ServeSettings()), "127.0.0.1", taken, 1.0))
    assert "serving" not in [record.getMessage() for record in caplog.records]


def test_the_service_says_that_it_serves_when_its_port_is_open(tmp_path, signals, monkeypatch):
    engine = Engine(served.library(tmp_path / "lib", ("deu_Latn",)))
    told = []

    def write(event, **fields):
        if event == "serving":
            socket.create_connection(("127.0.0.1", fields["port"]), timeout=5).close()
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        told.append(event)

    monkeypatch.setattr("lingraft.serve.logs.write", write)
    asyncio.run(asyncio.wait_for(run(engine, _app(engine, ServeSettings()), "127.0.0.1", 0, 1.0), 60))
    assert {"serving", "stopped"} <= set(told)


def test_every_address_of_a_host_is_listened_at():
    found = listen("localhost", 0)
    try:
        assert len({each.getsockname()[1] for each in found}) == 1
        assert all(_loopback(each.getsockname()[0]) for each in found)
    finally:
        for each in found:
            each.close()
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(ConfigError, match="`--host` must be an address of this machine"):
            listen(host, 0)


@pytest.mark.parametrize(
    ("text", "size"), [("123", 123), ("2k", 2000), ("2 MB", 2_000_000), ("1.5GiB", 3 * 2**29), ("1TiB", 2**40)]
)
def test_sizes(text, size):
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "-1", "two", "1e9", "5XB", "1 G B"])
def test_what_is_no_size_is_refused(text, tmp_path):
    done = CliRunner().invoke(app, ["serve", "--library", str(tmp_path), "--memory", text], standalone_mode=False)
    assert "must be a number of bytes" in str(done.exception)


def test_settings_come_from_a_file_and_the_command_line(tmp_path):
    file = tmp_path / "serve.yaml"
    file.write_text("characters: 10\ntexts: 3\n")
    found = _settings(file, ["texts=4"], tmp_path / "keys", None)
    assert (found.characters, found.texts, found.keys, found.admin_keys) == (10, 4, tmp_path / "keys", None)
    with pytest.raises(ConfigError, match="colour"):
        _settings(None, ["colour=red"], None, None)


def test_addresses_that_only_this_machine_reaches():
    assert [_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert [_loopback(host) for host in ("0.0.0.0", "10.0.0.1", "example.org")] == [False] * 3
