from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time

import fake
import httpx
import pytest
from starlette.testclient import TestClient

from lingraft.atoms import AdapterError, ConfigError, DataError, Direction, LibraryError
from lingraft.measure.results import Results
from lingraft.measure.row import Row
from lingraft.serve import logs
from lingraft.serve.answers import Busy, Failed, Stopping

DE_FR = {"source": "de", "target": "fr"}
VERSIONS = {"deu_Latn.source": f"{1:016x}", "fra_Latn.target": f"{1001:016x}"}


@pytest.fixture
def engine():
    return fake.FakeEngine()


@pytest.fixture
def client(engine):
    return TestClient(fake.app(engine))


def translate(client, q="Hallo", **fields):
    return client.post("/translate", json={"q": q, **DE_FR, **fields})


def test_one_text_and_several(client):
    assert translate(client).json()["translatedText"] == "[deu>fra] Hallo"
    assert translate(client, ["a", "", "b"]).json()["translatedText"] == ["[deu>fra] a", "", "[deu>fra] b"]
    assert translate(client, []).json()["translatedText"] == []


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"q": "a", **DE_FR, "alternatives": "1"}},
        {"files": {name: (None, text) for name, text in {"q": "a", **DE_FR, "alternatives": "1"}.items()}},
    ],
)
def test_forms_say_the_same_as_json(client, form):
    assert client.post("/translate", **form).json() == translate(client, "a", alternatives=1).json()


@pytest.mark.parametrize("code", ["de", "DE", "deu", "deu_Latn", "German", "de-DE", "Deutsch"])
def test_languages_come_in_any_form(client, code):
    assert translate(client, source=code).json()["translatedText"] == "[deu>fra] Hallo"


def test_an_answer_names_its_versions(client):
    answer = translate(client)
    assert answer.json()["lingraft"] == {"via": "direct", "versions": VERSIONS}
    assert answer.headers["x-lingraft-via"] == "direct"
    assert answer.headers["x-lingraft-versions"] == ", ".join(f"{k}={v}" for k, v in VERSIONS.items())
    for other in (
        client.post("/v2/translate", json={"text": ["a"], "source_lang": "DE", "target_lang": "FR"}),
        client.post("/v1/chat/completions", json={"model": "de-fr", "messages": [{"role": "user", "content": "a"}]}),
        client.post(
            "/v1/chat/completions",
            json={"model": "de-fr", "stream": True, "messages": [{"role": "user", "content": "a"}]},
        ),
    ):
        assert other.headers["x-lingraft-versions"] == answer.headers["x-lingraft-versions"]


def test_texts_in_several_languages_are_several_directions_of_the_same_versions(client, engine):
    texts = ["Wo ist das nächste Wasser?", "Where is the nearest water?", "10:30"]
    answer = translate(client, texts, source="auto").json()
    assert answer["translatedText"] == [f"[deu>fra] {texts[0]}", f"[eng>fra] {texts[1]}", "10:30"]
    assert [found["language"] for found in answer["detectedLanguage"]][:2] == ["de", "en"]
    assert answer["detectedLanguage"][2]["confidence"] == 0
    assert answer["lingraft"]["versions"] == VERSIONS
    assert {direction for _, direction in engine.asked} == {"deu_Latn-fra_Latn", "eng_Latn-fra_Latn"}


def test_an_update_between_two_directions_of_one_request_is_seen_and_mended(client, engine, monkeypatch):
    """Versions must not be mixed within one answer."""
    whole = engine.translate

    async def updating(texts, direction, **options):
        if str(direction).startswith("eng") and len(engine.asked) < 3:
            await engine.install("fra_Latn")
        return await whole(texts, direction, **options)

    monkeypatch.setattr(engine, "translate", updating)
    answer = translate(client, ["Wo ist das nächste Wasser?", "Where is the nearest water?"], source="auto")
    assert answer.status_code == 200
    assert answer.json()["lingraft"]["versions"]["fra_Latn.target"] == engine.languages["fra_Latn"].target
    assert len(engine.asked) == 4


def test_the_same_language_and_no_letters_need_no_model(client, engine):
    assert translate(client, target="de").json() == {
        "translatedText": "Hallo",
        "lingraft": {"via": "none", "versions": {}},
    }
    assert translate(client, "10:30 …").json()["translatedText"] == "10:30 …"
    assert engine.asked == []


def test_html_and_what_a_model_makes_of_it(client, engine):
    engine.says = "<script>alert(1)</script>"
    answer = translate(client, "<p class='x'>Hallo <b>Welt</b></p>", format="html").json()["translatedText"]
    said = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert answer == f"<p class='x'>{said} <b>{said}</b></p>"


def test_alternatives_keep_placeholders_or_are_left_out(client, engine):
    assert translate(client, alternatives=2).json()["alternatives"] == ["[deu>fra] Hallo (1)", "[deu>fra] Hallo (2)"]
    assert translate(client, ["a", "b"], alternatives=1).json()["alternatives"] == [
        ["[deu>fra] a (1)"],
        ["[deu>fra] b (1)"],
    ]
    engine.loses = "{x}"
    answer = translate(client, "Hallo {x} du", alternatives=2).json()
    assert answer["alternatives"] == []
    assert answer["translatedText"] == "[deu>fra] Hallo {x} [deu>fra] du"


def test_markup_of_deepl(client):
    ask = lambda **fields: client.post(
        "/v2/translate", json={"source_lang": "DE", "target_lang": "FR", **fields}
    ).json()
    answer = ask(text=["<x>ja</x><y>nein</y>"], tag_handling="xml", ignore_tags="y, z")
    assert answer["translations"][0]["text"] == "<x>[deu&gt;fra] ja</x><y>nein</y>"
    assert ask(text="a", glossary_id="g").keys() == {"message"}
    assert ask(text="a", formality="more").keys() == {"message"}
    assert ask(text="a", formality="prefer_more")["translations"]


def test_models_are_directions(client):
    models = [each["id"] for each in client.get("/v1/models").json()["data"]]
    assert len(models) == 4 * 3
    for unknown in ("sr-Latn-nothing", "foo-bar", "gpt", "de-de"):
        for answer in (
            client.get(f"/v1/models/{unknown}"),
            client.post("/v1/chat/completions", json={"model": unknown, "messages": [{"role": "user"}]}),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    chat = lambda model, content="Wo ist das Wasser?": client.post(
        "/v1/chat/completions", json={"model": model, "n": 2, "messages": [{"role": "user", "content": content}]}
    ).json()
    assert chat(models[0])["choices"][1]["message"]["content"].endswith("(1)")
    assert chat("auto-fra_Latn")["model"] == "deu_Latn-fra_Latn"
    assert chat("de-DE-fr")["model"] == "deu_Latn-fra_Latn"
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert chat(models[1], parts)["choices"][0]["message"]["content"] == "[deu>epo] ab"


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "`messages` must have at least 1 item, but has 0."),
        ("x", "`messages` must be a valid list, but is not."),
        (None, "`messages` must be a valid list, but is not."),
    ],
)
def test_what_a_field_must_be_is_told_in_words(client, messages, told):
    answer = client.post("/v1/chat/completions", json={"model": "de-fr", "messages": messages})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, told)


@pytest.mark.parametrize(
    ("path", "needed", "optional"),
    [
        ("/translate", {"q": "Hallo", **DE_FR}, ("format", "alternatives", "api_key", "x")),
        (
            "/v2/translate",
            {"text": ["Hallo"], "target_lang": "FR"},
            ("source_lang", "tag_handling", "ignore_tags", "formality", "glossary_id"),
        ),
        (
            "/v1/chat/completions",
            {"model": "de-fr", "messages": [{"role": "user", "content": "Hallo"}]},
            ("stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "tools", "functions"),
        ),
    ],
)
def test_null_is_as_if_a_field_was_left_out_where_it_may_be(client, path, needed, optional):
    ask = lambda **fields: client.post(path, json={**needed, **fields})
    plain, nulls = ask(), ask(**dict.fromkeys(optional))
    assert (nulls.status_code, nulls.json().keys()) == (200, plain.json().keys())
    refused = ask(**dict.fromkeys(needed))
    assert refused.status_code == 400
    assert all(f"`{name}` must be " in refused.text for name in needed)


def test_null_within_a_field_is_as_if_it_was_left_out_too(client):
    parts = [{"type": "text", "text": None}, {"type": "text", "text": "Hallo"}]
    body = {
        "model": "de-fr",
        "messages": [{"role": "user", "content": parts}],
        "stream_options": {"include_usage": None},
    }
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "[deu>fra] Hallo"
    assert client.request("GET", "/v2/languages", json={"type": None}).status_code == 200
    body["messages"][0]["role"] = None
    assert client.post("/v1/chat/completions", json=body).status_code == 400


@pytest.mark.parametrize("text", ["שלום לכולם", "これは日本語です", "Γειά σου Κόσμε", "Где здесь ближайший вокзал?"])
def test_text_in_a_language_that_is_not_on_offer_is_refused(client, engine, text):
    engine.offered = ("deu_Latn", "eng_Latn", "epo_Latn", "fra_Latn", "por_Latn")
    chat = {"model": "auto-fra_Latn", "messages": [{"role": "user", "content": text}]}
    for answer, listed in (
        (translate(client, text, source="auto"), "GET /languages lists them."),
        (translate(client, ["Wo ist das nächste Wasser?", text], source="auto"), "GET /languages lists them."),
        (client.post("/v2/translate", json={"text": [text], "target_lang": "FR"}), "GET /v2/languages lists them."),
        (client.post("/v1/chat/completions", json=chat), "GET /v1/models lists some."),
    ):
        assert answer.status_code == 400
        told = answer.json().get("error", answer.json())
        message = told if isinstance(told, str) else told["message"]
        assert message.startswith("the text must be in a language of this service, but ")
        assert message.endswith(f". {listed}")
        assert "source" not in message
    assert not engine.asked
    texts = ["10:30", "🙂", " ", "5 Ω"]
    answer = translate(client, texts, source="auto").json()
    assert answer["translatedText"] == texts
    assert [found["confidence"] for found in answer["detectedLanguage"]] == [0] * 4


def test_a_language_is_detected_or_refused(client, engine):
    detect = lambda text: client.post("/detect", json={"q": text})
    assert detect("Где здесь вокзал?").json()[0]["language"] == "ru"
    assert detect("10:30").json() == [{"language": "en", "confidence": 0}]
    assert detect("שלום").status_code == 400
    engine.offered = (*fake.OFFERED, "heb_Hebr")
    assert detect("שלום").json() == [{"language": "he", "confidence": 50}]
    assert translate(client, "שלום", source="auto").json()["translatedText"] == "[heb>fra] שלום"
    engine.offered = (*fake.OFFERED, "heb_Hebr", "ydd_Hebr")
    for answer in (detect("שלום"), translate(client, "שלום", source="auto")):
        assert answer.status_code == 400
        assert answer.json()["error"].endswith("Name it in `source` to translate it.")


@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ("uk", ""),
        ("spa_Latn", ""),
        ("qqq", ""),
        ("Germn", "Did you mean deu_Latn? "),
        ("esparanto", "Did you mean epo_Latn? "),
        ("deu_Latm", "Did you mean deu_Latn? "),
        ("deu_Cyrl", "Did you mean deu_Latn? "),
    ],
)
def test_a_language_is_proposed_only_where_it_is_spelled_alike(client, target, remedy):
    told = lambda field, listed: f"`{field}` must be a language of this service, but is none. {remedy}{listed}"
    answer = translate(client, target=target)
    assert (answer.status_code, answer.json()["error"]) == (400, told("target", "GET /languages lists them."))
    answer = client.post("/v2/translate", json={"text": ["a"], "source_lang": "DE", "target_lang": target})
    assert answer.json()["message"] == told("target_lang", "GET /v2/languages lists them.")


def test_head_is_get_without_a_body(engine):
    with fake.serving(fake.app(engine)) as address:
        for path in ("/health", "/languages", "/v1/models/de-fr", "/v1/models/x", "/translate", "/"):
            head, get = httpx.head(address + path), httpx.get(address + path)
            assert (head.status_code, head.content) == (get.status_code, b"")
            assert {**head.headers, "date": ""} == {**get.headers, "date": ""}
        counted = httpx.get(f"{address}/metrics").text
    assert 'lingraft_http_requests_total{method="HEAD",route="/v1/models/{model}",status="200"} 1.0' in counted
    client = TestClient(fake.app(engine))
    assert (client.head("/languages").status_code, client.head("/languages").content) == (200, b"")


def test_languages(client):
    found = {each["code"]: each for each in client.get("/languages").json()}
    assert found["eo"] == {"code": "eo", "name": "Esperanto", "targets": ["de", "en", "fr", "pt", "ru"]}
    targets = [each["language"] for each in client.get("/v2/languages", params={"type": "target"}).json()]
    assert targets == ["DE", "EN-GB", "EN-US", "EO", "FR", "PT-BR", "PT-PT", "RU"]
    assert "EN" in [each["language"] for each in client.get("/v2/languages").json()]


def test_the_library_tells_versions_sizes_and_scores(tmp_path):
    version = tmp_path / "adapters" / "deu_Latn.source" / f"{1:016x}"
    version.mkdir(parents=True)
    (version / "weights").write_bytes(b"x" * 123)
    engine = fake.FakeEngine(path=tmp_path)
    asyncio.run(engine.install("fra_Latn"))
    client = TestClient(fake.app(engine))
    told = client.get("/api/library").json()
    assert told["base"]["name"] == "a base"
    german, english, _, french = told["languages"]
    assert (german["native"], german["bytes"], german["history"]) == ("Deutsch", 123, 0)
    assert (english["code"], english["versions"]) == ("eng_Latn", {})
    assert (french["history"], french["versions"]["source"]) == (1, f"{2:016x}")
    assert list(told["broken"]) == ["ita_Latn"]
    assert "somewhere" not in str(told["broken"])  # everyone may read it
    assert told["withdrawn"] == ["spa_Latn"]
    assert told["scores"] is None
    row = Row("deu_Latn", "fra_Latn", "direct", 50.0, 20.0, 0.0, 10, "s", "b")
    results = Results((row,), ("deu_Latn", "fra_Latn"), identifier={})
    results.write(tmp_path / "measurement.json")
    assert client.get("/api/library").json()["scores"] == json.loads(results.to_json())
    (tmp_path / "measurement.json").write_text("{")
    assert client.get("/api/library").json()["scores"] is None


@pytest.mark.parametrize(
    ("failure", "status", "retry"),
    [
        (Busy(2.4, 500), 503, "3"),
        (Stopping(), 503, "10"),
        (Failed("deu_Latn-fra_Latn", "what a user wrote"), 503, None),
        (DataError("`what a user wrote` is too long."), 413, None),
        (LibraryError("`/somewhere` has no such language."), 400, None),
        (AdapterError("`/somewhere/x` must be whole."), 503, None),
        (ConfigError("`/somewhere/default.yaml` must be a mapping."), 503, None),
        (RuntimeError("what a user wrote"), 500, None),
    ],
)
def test_failures_of_the_engine_in_the_words_of_each_interface(client, engine, failure, status, retry):
    engine.failure = failure
    first = translate(client)
    deepl = client.post("/v2/translate", json={"text": ["a"], "source_lang": "DE", "target_lang": "FR"})
    chat = client.post("/v1/chat/completions", json={"model": "de-fr", "messages": [{"role": "user", "content": "a"}]})
    assert {first.status_code, deepl.status_code, chat.status_code} == {status}
    assert {each.headers.get("retry-after") for each in (first, deepl, chat)} == {retry}
    assert isinstance(first.json()["error"], str)
    assert isinstance(deepl.json()["message"], str)
    assert isinstance(chat.json()["error"]["message"], str)
    if isinstance(failure, LibraryError):
        told = ((first, "GET /languages "), (deepl, "GET /v2/languages "), (chat, "GET /v1/models "))
        assert all(listed in each.text for each, listed in told)
    assert not any(told in first.text + deepl.text + chat.text for told in ("what a user wrote", "somewhere"))
    engine.failure = None
    assert translate(client).status_code == 200


def test_the_log_says_what_an_operator_must_mend(client, engine, caplog):
    for failure in (AdapterError("`/somewhere/x` must be whole."), ConfigError("`/somewhere/y` must be a mapping.")):
        engine.failure = failure
        with caplog.at_level(logging.INFO, "lingraft.serve"):
            translate(client)
        assert caplog.records[-1].fields["detail"] == str(failure)


def test_health_tells_the_truth(client, engine):
    assert [client.get(path).status_code for path in ("/health", "/health/ready", "/health/live")] == [200] * 3
    engine.ready = False
    assert [client.get(path).status_code for path in ("/health", "/health/ready", "/health/live")] == [503, 503, 200]
    assert client.get("/health").json() == {"status": "stopping"}


def test_a_client_that_goes_away_takes_its_work_with_it(engine):
    engine.delay = 30.0
    with fake.serving(fake.app(engine)) as address:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/translate", json={"q": "a", **DE_FR}, timeout=0.3)
        end = time.monotonic() + 5
        while not engine.cancelled and time.monotonic() < end:
            time.sleep(0.01)
        assert engine.cancelled == 1
        engine.delay = 0.0
        assert httpx.post(f"{address}/translate", json={"q": "a", **DE_FR}).status_code == 200


def test_a_client_that_sends_too_slowly_is_refused(engine):
    import socket

    with fake.serving(fake.app(engine, slow=0.2)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as slow:
            head = (
                "POST /translate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"
            )
            slow.sendall(head.encode())
            assert slow.recv(1000).startswith(b"HTTP/1.1 408")


def test_where_any_text_would_be_refused_the_body_is_not_waited_for(engine):
    import socket

    engine.crowded = Busy(2.4, 500)
    with fake.serving(fake.app(engine)) as address:
        host, port = address.removeprefix("http://").split(":")
        for path in ("/translate", "/v2/translate", "/v1/chat/completions"):
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                head = (
                    f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n"
                )
                connection.sendall(head.encode())
                said = connection.recv(4000).lower()
                assert said.startswith(b"http/1.1 503")
                assert b"retry-after: 3" in said
        assert httpx.post(f"{address}/detect", json={"q": "Hallo"}).status_code == 200
        assert httpx.get(f"{address}/languages").status_code == 200
        with httpx.Client() as client:  # a connection goes on after it
            told = [client.post(f"{address}/translate", json={"q": "a", **DE_FR}).status_code for _ in range(3)]
            assert told == [503] * 3
            engine.crowded = None
            assert client.post(f"{address}/translate", json={"q": "a", **DE_FR}).status_code == 200


def test_who_has_no_key_is_not_told_that_the_service_is_busy(engine, tmp_path):
    from lingraft.serve.keys import make_key

    key, stored = make_key("me")
    (tmp_path / "keys").write_text(stored.line + "\n")
    engine.crowded = Busy(2.4, 500)
    with fake.serving(fake.app(engine, keys=tmp_path / "keys")) as address:
        ask = lambda **more: httpx.post(f"{address}/translate", json={"q": "a", **DE_FR}, **more).status_code
        assert ask() == 403
        assert ask(headers={"x-api-key": "wrong"}) == 403
        assert ask(headers={"x-api-key": key}) == 503


def test_admin_verbs(engine, tmp_path):
    from lingraft.serve.keys import make_key

    key, stored = make_key("me")
    (tmp_path / "admin").write_text(stored.line + "\n")
    client = TestClient(fake.app(engine, admin_keys=tmp_path / "admin"), headers={"authorization": f"Bearer {key}"})
    assert client.post("/admin/languages/fra_Latn").json()["versions"]["source"] == f"{2:016x}"
    assert translate(client).json()["lingraft"]["versions"]["fra_Latn.target"] == f"{1002:016x}"
    assert client.post("/admin/languages/fra_Latn/rollback").json()["versions"]["source"] == f"{1:016x}"
    assert client.delete("/admin/languages/fra_Latn").status_code == 200
    assert client.delete("/admin/languages/fra_Latn").status_code == 404
    for wrong in ("..%2f..%2fetc", "http:%2f%2fx", "xyz", "fra_Latn%00", "%2e%2e", "a" * 300):
        assert client.post(f"/admin/languages/{wrong}").status_code == 404
    assert "fra_Latn" not in engine.languages
    for form in ("fra_Latn", "fr", "French"):
        assert client.post(f"/admin/languages/{form}").json()["language"] == "fra_Latn"


@pytest.mark.parametrize("count", [21, pytest.param(1_000, marks=pytest.mark.soak)])
def test_text_stays_private(engine, monkeypatch, count):
    """Canaries in every field of good and bad requests: none in logs, metrics or errors."""
    client = TestClient(fake.app(engine, rate=None))
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonLines())
    monkeypatch.setattr(logs.LOGGER, "handlers", [handler])
    monkeypatch.setattr(logs.LOGGER, "level", logging.DEBUG)
    logs.LOGGER.manager._clear_cache()
    errors = []
    for number in range(count):
        canary = f"Kanarienvogel{number}"
        engine.failure = RuntimeError(f"failed at {canary}") if number % 5 == 0 else None
        field = ("q", "source", "target", "format", "alternatives", "api_key", "x")[number % 7]
        for answer in (
            client.post("/translate", json={"q": f"ja {canary}", **DE_FR, field: canary}),
            client.post("/translate", json={"q": [canary], **DE_FR, field: [canary, {canary: 1}]}),
            client.post("/translate", content=f'{{"q": "{canary}', headers={"content-type": "application/json"}),
            client.post("/translate", content=canary, headers={"content-type": canary}),
            client.post(f"/{canary}", params={canary: canary}),
            client.get(f"/v1/models/{canary}-{canary}"),
            client.get("/v2/languages", params={"type": canary}),
            client.post("/v2/translate", json={"text": [canary], "target_lang": canary, "tag_handling": canary}),
            client.post("/v1/chat/completions", json={"model": canary, "messages": [{"role": canary}]}),
            client.request("POST", "/admin/languages/" + canary),
        ):
            errors += [answer.text] * (answer.status_code != 200)
    assert len(errors) >= 8 * count
    assert written.getvalue().count("\n") >= 9 * count
    for place in (written.getvalue(), client.get("/metrics").text, "\n".join(errors)):
        assert "kanarien" not in place.lower()


def test_a_line_of_log_is_json_and_an_exception_has_no_message():
    try:
        raise ValueError("what a user wrote")
    except ValueError as error:
        record = logging.LogRecord(
            "uvicorn.error", logging.ERROR, "", 0, "event", None, (type(error), error, error.__traceback__)
        )
    line = json.loads(logs.JsonLines().format(record))
    assert line["error"] == "ValueError"
    assert "test_app.py:" in line["at"]
    assert "what a user wrote" not in json.dumps(line)


def test_labels_are_bounded(engine):
    client = TestClient(fake.app(engine, rate=None))
    for number in range(50):
        client.get(f"/a{number}")
        client.request(f"M{number}", "/translate")
        translate(client, source=f"x{number}")
        client.post(f"/admin/languages/{number}")
    lines = [
        line for line in client.get("/metrics").text.splitlines() if line.startswith("lingraft_http_requests_total")
    ]
    assert len(lines) < 12
    translate(client)
    text = client.get("/metrics").text
    assert 'lingraft_characters_total{target="fra_Latn"} 5.0' in text
    assert "lingraft_queue_sentences 3.0" in text


def test_answers_are_not_kept_or_guessed_or_run(client):
    headers = translate(client).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    page = client.get("/").headers["content-security-policy"]
    assert "script-src 'self'" in page


def test_pages_of_others_may_call_only_if_they_are_named(engine):
    origin = {"origin": "https://a.example"}
    assert "access-control-allow-origin" not in TestClient(fake.app(engine)).get("/languages", headers=origin).headers
    named = TestClient(fake.app(engine, origins=("https://a.example",)))
    assert named.get("/languages", headers=origin).headers["access-control-allow-origin"] == "https://a.example"
    assert (
        named.get("/languages", headers={"origin": "https://b.example"}).headers.get("access-control-allow-origin")
        is None
    )


def test_many_clients_at_once_get_their_own_answers(engine):
    engine.delay = 0.01
    with fake.serving(fake.app(engine, rate=None)) as address:
        wrong = []

        def run(number: int) -> None:
            with httpx.Client(base_url=address) as http:
                for k in range(3):
                    text = f"Satz {number} {k}"
                    if translate(http, text).json()["translatedText"] != f"[deu>fra] {text}":
                        wrong.append(text)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(engine.asked) == 24
        counted = httpx.get(f"{address}/metrics").text
        assert 'lingraft_http_requests_total{method="POST",route="/translate",status="200"} 24.0' in counted
        assert 'status="499"' not in counted


def test_directions_reach_the_engine_as_directions(client, engine):
    seen = []
    whole = engine.translate

    async def keeping(texts, direction, **options):
        seen.append(direction)
        return await whole(texts, direction, **options)

    engine.translate = keeping
    translate(client)
    assert seen == [Direction("deu_Latn", "fra_Latn")]
