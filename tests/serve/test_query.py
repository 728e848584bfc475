"""Fields in the query of a POST, as clients of LibreTranslate send them: read, bounded, and never written down."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket

import fake
import httpx
import pytest
from starlette.testclient import TestClient

from lingraft.serve.bodies import MOST_FIELDS
from lingraft.serve.cli import run
from lingraft.serve.keys import make_key

ASKED = {"q": "Hallo & <du>?", "source": "de", "target": "fr", "format": "text"}
SAID = "[deu>fra] Hallo & <du>?"


@pytest.fixture
def client():
    return TestClient(fake.app())


def test_a_request_without_a_body_is_what_its_query_says(client):
    answer = client.post("/translate", params=ASKED)
    assert (answer.status_code, answer.json()["translatedText"]) == (200, SAID)
    several = client.post("/translate", params={**ASKED, "q": ["a", "b"], "alternatives": 1})
    assert several.json()["translatedText"] == ["[deu>fra] a", "[deu>fra] b"]
    assert client.post("/detect", params={"q": "Где здесь вокзал?"}).json()[0]["language"] == "ru"
    refused = client.post("/translate", params={"q": "a", "source": "de"})
    assert (refused.status_code, refused.json()["error"]) == (400, "`target` must be given, but is not.")


@pytest.mark.parametrize("kind", ["data", "files"])
def test_what_a_form_says_itself_goes_before_its_query(client, kind):
    form = {"q": "Hallo & <du>?", "target": "fr"}
    form = {name: (None, text) for name, text in form.items()} if kind == "files" else form
    answer = client.post("/translate", params={**ASKED, "q": "other", "target": "eo"}, **{kind: form})
    assert answer.json()["translatedText"] == SAID


@pytest.mark.parametrize("path", ["/translate", "/v2/translate", "/v1/chat/completions"])
def test_a_query_says_nothing_where_the_request_is_json_or_of_another_interface(client, path):
    fields = {**ASKED, "text": "a", "target_lang": "FR", "model": "de-fr"}
    assert client.post(path, params=fields, json={}).status_code == 400
    without = {"content-type": "application/json"} if path == "/translate" else {}
    assert client.post(path, params=fields, headers=without).status_code == 400
    assert client.get("/translate", params=fields).status_code == 405


def test_a_key_in_the_query_opens_what_the_query_asks_for(tmp_path):
    key, stored = make_key("client")
    (tmp_path / "keys").write_text(stored.line)
    client = TestClient(fake.app(keys=tmp_path / "keys"))
    assert client.post("/translate", params={**ASKED, "api_key": key}).json()["translatedText"] == SAID
    assert client.post("/translate", params={**ASKED, "api_key": "client.wrong"}).status_code == 403
    assert client.post("/translate", params=ASKED).status_code == 403


def test_a_query_is_bounded_as_a_body_is():
    client = TestClient(fake.app(body=1000, texts=MOST_FIELDS))
    short = str(httpx.QueryParams({**ASKED, "q": "a"}))
    for fill, form, status in ((1000, 0, 200), (1001, 0, 413), (500, 500, 200), (500, 501, 413), (9_000, 0, 413)):
        query, data = f"{short}&x=".ljust(fill, "x"), b"y=".ljust(form, b"y") if form else b""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        for content in (data, iter([data])):  # without `Content-Length`, too
            answer = client.post(f"/translate?{query}", content=content, headers=headers)
            assert answer.status_code == status, (fill, form)


def test_fields_of_a_query_and_its_form_are_counted_together():
    client = TestClient(fake.app())
    ask = lambda fields, form: client.post(f"/translate?{httpx.QueryParams(ASKED)}{'&x' * fields}", data=form)
    assert ask(MOST_FIELDS - len(ASKED), {}).status_code == 200
    assert ask(MOST_FIELDS - len(ASKED) + 1, {}).status_code == 400
    assert ask(MOST_FIELDS - len(ASKED) - 1, {"a": "b"}).status_code == 200
    assert ask(MOST_FIELDS - len(ASKED), {"a": "b"}).status_code == 400


@pytest.mark.parametrize("text", ["%ff", "%ed%a0%80", "a%00b"])
def test_a_query_that_is_no_text_is_refused(client, text):
    assert client.post(f"/translate?source=de&target=fr&q={text}").status_code == 400


class Engine(fake.FakeEngine):
    """One that `lingraft serve` can start and stop."""

    def start(self) -> None:
        """Nothing is to be started."""

    async def stop(self, _: float) -> None:
        """Nothing is to be stopped."""


@pytest.fixture
def as_before():
    """Loggers and signals are the whole process's."""
    numbers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    loggers = [logging.getLogger(name) for name in ("lingraft", "uvicorn", "uvicorn.access")]
    kept = [(logger, logger.level, logger.handlers, logger.propagate) for logger in loggers]
    yield
    for number, handler in numbers.items():
        signal.signal(number, handler)
    for logger, level, handlers, propagate in kept:
        logger.level, logger.handlers, logger.propagate = level, handlers, propagate
    logging.root.manager._clear_cache()


def test_a_text_in_a_query_reaches_no_log(as_before, capfd):
    """Of the whole service: a server may log addresses, too."""
    engine, canary = Engine(), "Kanarienvogel"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> list[int]:
        service = asyncio.create_task(run(engine, fake.app(engine), "127.0.0.1", port, 1.0))
        await asyncio.sleep(0)  # the port is open then
        statuses = []
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for failure in (None, RuntimeError(canary)):
                engine.failure = failure
                for method, path, query in (
                    ("POST", "/translate", {**ASKED, "q": canary}),
                    ("POST", "/translate", {**ASKED, "q": canary, "target": canary}),
                    ("POST", "/detect", {"q": f"{canary}\0"}),
                    ("GET", "/translate", {"q": canary}),
                    ("POST", f"/{canary}", {"q": canary}),
                ):
                    answer = await client.request(method, path, params=query)
                    statuses.append(answer.status_code)
                    assert answer.status_code == 200 or canary not in answer.text
            assert canary not in (await client.get("/metrics")).text
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"POST /translate?q={canary} HTTP/9\r\n\r\n".encode())
            await reader.read()
            writer.close()
        os.kill(os.getpid(), signal.SIGTERM)
        await service
        return statuses

    assert asyncio.run(asyncio.wait_for(main(), 60)) == [200, 400, 400, 405, 404, 500, 400, 400, 405, 404]
    written = "".join(capfd.readouterr())
    assert written.count('"event": "request"') == 11
    assert canary not in written
