"""Bad requests, many and of every kind: none is answered by a failure of the service, and none ends it."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import socket

import fake
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from lingraft.serve.keys import make_key

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
GOOD = {
    "q": "Hallo", "source": "de", "target": "fr", "text": ["Hallo"], "target_lang": "FR", "model": "de-fr",
    "messages": [{"role": "user", "content": "Hallo"}],
}  # fmt: skip
OPTIONS = ("format", "alternatives", "tag_handling", "n", "stream", "api_key", "ignore_tags")
ODD = (
    None, True, 0, -1, 1.5, 10**400, "", "\0", "a\0b", [], {}, [[]], [None], {"a": []}, "x" * 30_000, ["a"] * 500,
    float("inf"), "\ud800", "../../etc/passwd", "%s%n", "{{7*7}}", [1, "a"], "\u202e\u0000",
)  # fmt: skip
SHORT = (b"NaN", b"[]", b'"a"', b"1" * 10_000, b'{"q":NaN}', b'{"q":"\\ud800"}', b"\xef\xbb\xbf{}", b"{}")
PATHS = (
    "/translate", "/detect", "/v2/translate", "/v2/languages", "/v2/usage", "/v1/chat/completions", "/v1/models/x",
    "/languages", "/admin/languages/deu_Latn", "/admin/languages/%00", "/metrics", "/", "/static/x", "/%ff%fe",
    "/v2/languages?type=%ff&type=%00", "/translate?api_key=%ed%a0%80",
)  # fmt: skip
TYPES = (
    *["application/json"] * 5, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain",
    "multipart/form-data", "application/json; charset=utf-7", "", "\xff", f"multipart/form-data; boundary={'x' * 500}",
)  # fmt: skip


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    """An application with admin verbs, and the header that opens them."""
    key, stored = make_key("fuzz")
    path = tmp_path_factory.mktemp("keys") / "admin"
    path.write_text(stored.line + "\n")
    return fake.app(admin_keys=path, rate=None), {"authorization": f"Bearer {key}"}


def _hammer(application, examples: int, part: str = "/") -> int:
    """Send generated requests to every operation; return how many."""
    app, headers = application
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    sent = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.startswith(part):
            continue
        for mode in GenerationMode:

            @settings(max_examples=examples, deadline=None, database=None, derandomize=True,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            @given(operation.as_strategy(generation_mode=mode))
            def send(case):
                nonlocal sent
                sent += 1
                case.call_and_validate(headers=headers, checks=CHECKS)

            with contextlib.suppress(Unsatisfiable):  # a route that takes nothing can't be given something wrong
                send()
    return sent


def test_generated_requests(application):
    assert _hammer(application, 4, "/translate") >= 8


@pytest.mark.soak
def test_ten_thousand_generated_requests(application):
    assert _hammer(application, 1200) > 10_000  # operations with few parameters run out early


def _bad_bodies(rng: random.Random) -> bytes:
    """One malformed, mutilated or hostile body."""
    good = dict(GOOD)
    kind = rng.randrange(8)
    if kind == 0:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    if kind == 1:
        depth = rng.choice([10, 500, 5_000, 200_000])
        return b'{"q":' + rng.choice([b"[", b'{"a":']) * depth
    if kind == 2:
        return rng.choice(
            [b"NaN", b"[]", b'"a"', b"1" * 10_000, b'{"q":NaN}', b'{"q":"\\ud800"}', b"\xef\xbb\xbf{}", b"{}"]
        )
    for _ in range(rng.randrange(1, 4)):
        good[rng.choice([*good, *OPTIONS])] = rng.choice(ODD)
    body = json.dumps(good).encode()
    if kind == 3:
        place = rng.randrange(len(body))
        return body[:place] + bytes([rng.randrange(256)]) + body[place + 1 :]
    if kind == 4:
        return body[: rng.randrange(len(body))]
    return body


def _throw(application, count: int) -> dict[int, int]:
    """Send hand-made bad requests; return how often each status came."""
    app, admin = application
    client = TestClient(app, raise_server_exceptions=False)
    rng = random.Random(0)
    statuses: dict[int, int] = {}
    for _ in range(count):
        body = _bad_bodies(rng)
        headers = {"content-type": rng.choice(TYPES).encode("latin-1")}
        if rng.random() < 0.1:
            headers["content-encoding"] = rng.choice([b"gzip", b"br", b"\xff", b"identity"])
            body = gzip.compress(body)
        if rng.random() < 0.2:
            key = admin["authorization"].encode()
            headers["authorization"] = rng.choice([key, b"Bearer", b"\xff\xfe", b"DeepL-Auth-Key \x80"])
        if rng.random() < 0.1:
            headers["content-length"] = rng.choice([b"9" * 30, b"-1", b"x", b"\xb2"])
        path = rng.choice(PATHS[:6]) if rng.random() < 0.7 else rng.choice(PATHS)
        method = "POST" if rng.random() < 0.8 else rng.choice(["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "X"])
        answer = client.request(method, path, content=body, headers=headers)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, (method, path, headers, body[:300])
    assert client.get("/health/live").status_code == 200
    return statuses


def test_hand_made_requests(application):
    assert {200, 400, 404, 405, 413, 415} <= set(_throw(application, 400))


@pytest.mark.soak
def test_ten_thousand_hand_made_requests_leave_no_memory_behind(application):
    import resource

    _throw(application, 2_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _throw(application, 10_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1.05 * before


@given(st.binary(max_size=300))
@settings(max_examples=30)
def test_any_bytes_as_a_form(application, body):
    client = TestClient(application[0], raise_server_exceptions=False)
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert client.post("/translate", content=body, headers={"content-type": kind}).status_code in (400, 413)


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: " + b"y" * 300_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
        b"POST /translate HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
        b"POST /translate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_a_malformed_line_ends_its_own_connection_only(application, raw):
    with fake.serving(application[0]) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                assert not connection.recv(100).startswith(b"HTTP/1.1 5")
            except OSError:
                pass  # the service hung up first
        import httpx

        assert httpx.get(f"{address}/health/live").status_code == 200
