"""The application on a real engine with a tiny base: what comes over HTTP is what the model says."""

from __future__ import annotations

import asyncio

import httpx
import served
import shelves

from lingraft.atoms import Direction
from lingraft.serve.app import create_app
from lingraft.serve.detect import Detector
from lingraft.serve.settings import ServeSettings

CODES = {"de": "deu_Latn", "fr": "fra_Latn", "eo": "epo_Latn", "en": "eng_Latn"}


def talk(library, act, **options):
    """Run a coroutine function on a client of the application."""

    async def main():
        async with served.serving(library, **options) as engine:
            app = create_app(engine, ServeSettings(rate=None), Detector(library))
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=60) as client:
                return await asyncio.wait_for(act(client, engine), 60)

    return asyncio.run(main())


def test_every_interface_says_what_the_model_says(tmp_path):
    library = served.library(tmp_path / "lib")

    async def act(client, _):
        found = {}
        for source, target in (("de", "fr"), ("eo", "en"), ("fr", "eo")):
            libre = client.post("/translate", json={"q": served.TEXT, "source": source, "target": target})
            lang = {"en": "EN-US"}.get(target, target.upper())
            deepl = client.post(
                "/v2/translate", json={"text": [served.TEXT], "source_lang": source.upper(), "target_lang": lang}
            )
            messages = [{"role": "user", "content": served.TEXT}]
            chat = client.post("/v1/chat/completions", json={"model": f"{source}-{target}", "messages": messages})
            found[source, target] = await asyncio.gather(libre, deepl, chat)
        markup = await client.post(
            "/translate",
            json={"q": "<p>red house</p> {x} <b>cold</b>", "source": "de", "target": "fr", "format": "html"},
        )
        return found, markup, (await client.get("/api/library")).json(), (await client.get("/metrics")).text

    found, markup, told, metrics = talk(library, act)
    for (source, target), (libre, deepl, chat) in found.items():
        note = libre.json()["lingraft"]
        right = served.expected(library, note["versions"], Direction(CODES[source], CODES[target]), served.TEXT)
        assert libre.json()["translatedText"] == right
        assert deepl.json()["translations"][0]["text"] == right
        assert chat.json()["choices"][0]["message"]["content"] == right
        assert note["via"] == "direct"
    assert markup.json()["translatedText"].startswith("<p>")
    assert "</p> {x} <b>" in markup.json()["translatedText"]
    german = next(each for each in told["languages"] if each["code"] == "deu_Latn")
    assert german["bytes"] > 1000
    assert german["versions"]["source"] == library.pointer("deu_Latn").source
    assert "lingraft_languages 3.0" in metrics


def test_updates_while_requests_fly_give_answers_of_one_version_each(tmp_path):
    """The text of each answer is what the versions in its header make of the source."""
    library = served.library(tmp_path / "lib", ("deu_Latn", "fra_Latn"))

    async def act(client, engine):
        async def ask():
            return await client.post("/translate", json={"q": served.TEXT, "source": "de", "target": "fr"})

        answers = []
        for number in range(1, 5):
            tasks = [asyncio.create_task(ask()) for _ in range(6)]
            await asyncio.sleep(0.01)
            await asyncio.to_thread(library.add, {"fra_Latn": shelves.module(library.base, "fra_Latn", number)})
            await engine.install("fra_Latn")
            answers += await asyncio.gather(*tasks, ask())
        return answers

    answers = talk(library, act, rows=3)
    assert {answer.status_code for answer in answers} == {200}
    by_versions = {}
    for answer in answers:
        note = answer.json()["lingraft"]
        assert answer.headers["x-lingraft-versions"] == ", ".join(
            f"{k}={v}" for k, v in sorted(note["versions"].items())
        )
        by_versions.setdefault(tuple(sorted(note["versions"].items())), set()).add(answer.json()["translatedText"])
    assert len(by_versions) >= 4
    for versions, texts in by_versions.items():
        assert texts == {served.expected(library, dict(versions), Direction("deu_Latn", "fra_Latn"), served.TEXT)}
