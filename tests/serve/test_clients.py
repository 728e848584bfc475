"""The clients that people have, unchanged, over a real socket."""

from __future__ import annotations

import urllib.error

import deepl
import fake
import openai
import pytest
from libretranslatepy import LibreTranslateAPI

from lingraft.serve.keys import make_key


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address and key of a service that asks for one."""
    folder = tmp_path_factory.mktemp("keys")
    key, stored = make_key("client")
    (folder / "keys").write_text(stored.line + "\n")
    engine = fake.FakeEngine()
    with fake.serving(fake.app(engine, keys=folder / "keys", quota=1_000)) as address:
        yield address, key, engine


def test_libretranslatepy(served):
    address, key, _ = served
    client = LibreTranslateAPI(address, key)
    assert client.translate("Hallo & <du>?", "de", "fr") == "[deu>fra] Hallo & <du>?"
    assert client.translate("Wo ist das Wasser?", "auto", "eo") == "[deu>epo] Wo ist das Wasser?"
    (found,) = client.detect("Où est la gare, s'il vous plaît ?")
    assert found["language"] == "fr"
    assert found["confidence"] > 90
    assert {"code": "de", "name": "German"}.items() <= client.languages()[0].items()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        LibreTranslateAPI(address, "client.wrong").translate("a", "de", "fr")
    assert refusal.value.code == 403
    with pytest.raises(urllib.error.HTTPError) as refusal:
        client.translate("a", "de", "tlh")
    assert refusal.value.code == 400


def test_deepl(served):
    address, key, _ = served
    deepl.http_client.max_network_retries = 0
    client = deepl.DeepLClient(key, server_url=address)
    one = client.translate_text("Wo ist das Wasser?", target_lang="EN-US")
    assert (one.text, one.detected_source_lang, one.billed_characters) == ("[deu>eng] Wo ist das Wasser?", "DE", 18)
    several = client.translate_text(["ja", "nein"], source_lang="DE", target_lang="FR")
    assert [each.text for each in several] == ["[deu>fra] ja", "[deu>fra] nein"]
    marked = client.translate_text(
        "<p>ja <keep>nein</keep></p>", source_lang="DE", target_lang="FR", tag_handling="xml", ignore_tags=["keep"]
    )
    assert marked.text == "<p>[deu&gt;fra] ja <keep>nein</keep></p>"
    assert "PT-BR" in [each.code for each in client.get_target_languages()]
    assert "PT" in [each.code for each in client.get_source_languages()]
    usage = client.get_usage()
    assert usage.character.count >= 18
    assert usage.character.limit == 1_000
    with pytest.raises(deepl.QuotaExceededException):
        client.translate_text("a" * 2_000, source_lang="DE", target_lang="FR")
    with pytest.raises(deepl.AuthorizationException):
        deepl.DeepLClient("client.wrong", server_url=address).get_usage()
    with pytest.raises(deepl.DeepLException, match="target_lang"):
        client.translate_text("a", source_lang="DE", target_lang="TLH")


def test_openai(served):
    address, key, _ = served
    client = openai.OpenAI(api_key=key, base_url=f"{address}/v1", max_retries=0)
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hallo\nWelt"}]
    answer = client.chat.completions.create(model="deu_Latn-fra_Latn", messages=messages)
    assert answer.choices[0].message.content == "[deu>fra] Hallo\nWelt"
    chunks = list(client.chat.completions.create(model="de-fr", messages=messages, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "[deu>fra] Hallo\nWelt"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert "deu_Latn-fra_Latn" in [model.id for model in client.models.list()]
    assert client.models.retrieve("de-fr").id == "deu_Latn-fra_Latn"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(api_key="client.wrong", base_url=f"{address}/v1", max_retries=0).models.list()
    for unknown in (
        lambda: client.chat.completions.create(model="de-tlh", messages=messages),
        lambda: client.models.retrieve("foo-bar"),
    ):
        with pytest.raises(openai.NotFoundError) as refusal:
            unknown()
        assert refusal.value.code == "model_not_found"
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with pytest.raises(openai.BadRequestError, match="tools"):
        client.chat.completions.create(model="de-fr", messages=messages, tools=[tool])


def test_openai_cuts_and_counts(served):
    address, key, _ = served
    client = openai.OpenAI(api_key=key, base_url=f"{address}/v1", max_retries=0)
    asked = {"model": "de-fr", "messages": [{"role": "user", "content": "Hallo du\nWelt"}]}
    whole = client.chat.completions.create(**asked, max_tokens=4)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("[deu>fra] Hallo du\nWelt", "stop")
    assert whole.usage.to_dict() == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    for limits in ({"max_tokens": 2}, {"max_completion_tokens": 2}, {"max_tokens": 9, "max_completion_tokens": 2}):
        short = client.chat.completions.create(**asked, **limits, n=2)
        assert [each.finish_reason for each in short.choices] == ["length"] * 2
        assert [each.message.content.strip() for each in short.choices] == ["[deu>fra] Hallo"] * 2
        assert short.usage.completion_tokens == 4
    stream = client.chat.completions.create(**asked, max_tokens=2, stream=True, stream_options={"include_usage": True})
    *chunks, last = list(stream)
    assert chunks[-1].choices[0].finish_reason == "length"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip() == "[deu>fra] Hallo"
    assert (last.choices, last.usage.total_tokens) == ([], 5)
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        client.chat.completions.create(**asked, max_tokens=0)


def test_clients_are_told_to_come_again(served):
    from lingraft.serve.answers import Busy

    address, key, engine = served
    engine.failure = Busy(1.0, 3)
    try:
        with pytest.raises(openai.InternalServerError) as refusal:
            openai.OpenAI(api_key=key, base_url=f"{address}/v1", max_retries=0).chat.completions.create(
                model="de-fr", messages=[{"role": "user", "content": "a"}]
            )
        assert refusal.value.response.headers["retry-after"] == "1"
    finally:
        engine.failure = None
