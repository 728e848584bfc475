from __future__ import annotations

import fake
import pytest
from starlette.testclient import TestClient

from lingraft.atoms import ConfigError
from lingraft.atoms.config import override
from lingraft.serve import limits as limits_module
from lingraft.serve.limits import Limits
from lingraft.serve.refusals import Refused
from lingraft.serve.settings import ServeSettings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(client: TestClient, q="Hallo", **fields):
    return client.post("/translate", json={"q": q, "source": "de", "target": "fr", **fields})


def test_a_bucket_lets_a_burst_pass_and_fills_again():
    clock = Clock()
    limits = Limits(ServeSettings(rate=60, burst=3), clock)
    for _ in range(3):
        limits.request("a")
    with pytest.raises(Refused, match="60 a minute") as refusal:
        limits.request("a")
    assert (refusal.value.status, refusal.value.retry_after) == (429, pytest.approx(1.0))
    limits.request("b")
    clock.now = 1.0
    limits.request("a")
    with pytest.raises(Refused):
        limits.request("a")
    clock.now = 1e6
    for _ in range(3):
        limits.request("a")
    with pytest.raises(Refused):
        limits.request("a")


def test_the_memory_for_clients_is_bounded(monkeypatch):
    monkeypatch.setattr(limits_module, "CLIENTS", 10)
    limits = Limits(ServeSettings())
    for number in range(1000):
        limits.request(f"address {number}")
    assert len(limits._accounts) == 10


@pytest.mark.parametrize("factor", [1, 100])
@pytest.mark.parametrize(
    ("field", "fields", "over"),
    [
        ("characters", lambda n: {"q": "a" * n}, 413),
        ("characters", lambda n: {"q": ["a"] * n}, 413),
        ("texts", lambda n: {"q": ["a"] * n}, 413),
        ("alternatives", lambda n: {"alternatives": n}, 400),
    ],
)
def test_limits_at_n_and_beyond(field, fields, over, factor):
    most = 7
    client = TestClient(fake.app(**{field: most}))
    assert ask(client, **fields(most)).status_code == 200
    answer = ask(client, **fields(most + 1 if factor == 1 else most * factor))
    assert answer.status_code == over
    assert set(answer.json()) == {"error", "code"}


@pytest.mark.parametrize("told", [True, False])
def test_the_body_is_bounded_at_n_and_beyond(told):
    client = TestClient(fake.app(body=1000))
    for size, status in ((1000, 200), (1001, 413), (100_000, 413)):
        body = b'{"q":"a","source":"de","target":"fr","x":"'
        body += b"x" * (size - len(body) - 2) + b'"}'
        content = body if told else iter([body[:500], body[500:]])
        answer = client.post("/translate", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == status


def test_a_compressed_body_is_refused():
    import gzip

    body = gzip.compress(b"0" * 10_000_000)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert TestClient(fake.app()).post("/translate", content=body, headers=headers).status_code == 415


def test_requests_come_too_fast_and_say_when_to_come_again():
    client = TestClient(fake.app(rate=6.0, burst=2))
    assert [ask(client).status_code for _ in range(3)] == [200, 200, 429]
    answer = client.post("/v2/translate", json={"text": ["a"], "target_lang": "FR"})
    assert answer.status_code == 429
    assert set(answer.json()) == {"message"}
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    assert client.get("/health/live").status_code == 200, "nobody may be locked out of this"


def test_a_quota_of_characters_has_the_status_that_deepl_gives_it():
    engine = fake.FakeEngine()
    client = TestClient(fake.app(engine, quota=10))
    ask = lambda text: client.post("/v2/translate", json={"text": [text], "source_lang": "DE", "target_lang": "FR"})
    assert ask("a" * 8).status_code == 200
    assert ask("a" * 3).status_code == 456
    assert client.get("/v2/usage").json() == {"character_count": 8, "character_limit": 10}
    engine.failure = RuntimeError("no")
    assert ask("aa").status_code == 500
    assert client.get("/v2/usage").json()["character_count"] == 8, "what was not translated is not counted"
    engine.failure = None
    assert ask("aa").status_code == 200


def test_settings_are_strict():
    with pytest.raises(ConfigError, match="characters"):
        override(ServeSettings(), ["characters=0"])
    with pytest.raises(ConfigError, match="known setting"):
        override(ServeSettings(), ["serve.charcters=1"], "serve")
    assert override(ServeSettings(), ["serve.rate=null"], "serve").rate is None
