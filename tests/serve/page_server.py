"""A service in forty lines that answers as the real one does, for tests of the page: what it says is set by the test.

What the page relies on, beside LibreTranslate's routes:

- ``GET /api/library``: ``{"base": {"name", …}, "languages": [{"code", "name", "native", "versions": {"source",
  "target"}, "history", "bytes"}], "broken": {code: why}, "scores": null | what `measure.Results.to_json` writes}``;
  its codes are those of the library, while LibreTranslate's routes have short ones.
- ``POST /translate`` answers with ``"lingraft": {"via", "versions"}``, and errors with ``{"error": …}`` and
  ``Retry-After``.
- ``POST /admin/languages/{code}``, ``DELETE`` of the same, ``POST …/rollback``: ``Authorization: Bearer KEY``.
- ``GET /admin/training``: ``{"runs": [{"languages", "step", "steps", "loss", "seconds_left", "state"}]}``
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import fake
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from lingraft.atoms import LanguageError
from lingraft.atoms.languages import in_form_of
from lingraft.serve.static import router

LANGUAGES = {
    "arb_Arab": ("Modern Standard Arabic", "العربية"),
    "deu_Latn": ("German", "Deutsch"),
    "eng_Latn": ("English", "English"),
    "fra_Latn": ("French", "français"),
    "fur_Latn": ("Friulian", "furlan"),
    "heb_Hebr": ("Hebrew", "עברית"),
    "rus_Cyrl": ("Russian", "русский"),
    "scn_Latn": ("Sicilian", "sicilianu"),
}
ADMIN_KEY = "the admin key"


def scores(languages: list[str]) -> dict[str, Any]:
    """Return a measurement of all pairs as `lingraft measure --json` writes it."""
    rows = [
        {"source": a, "target": b, "via": via, "chrf++": 25.0 + (7 * i + 11 * j + extra) % 45, "bleu": 18.5,
         "off_target": 0.5, "lines": 997, "signature": "s", "bleu_signature": "b"}
        for i, a in enumerate(languages)
        for j, b in enumerate(languages)
        for via, extra in (("direct", 3), ("pivot", 0))
        if a != b
    ]  # fmt: skip
    return {"format": 1, "languages": languages, "pivot": "eng_Latn", "testset": "dev", "results": rows}


@dataclass
class Backend:
    """What the service says, and what it was asked."""

    names: dict[str, tuple[str, str]] = field(default_factory=lambda: dict(LANGUAGES))
    translation: str | None = None
    """None: the text, marked with the direction."""
    via: str = "direct"
    detected: str = "deu_Latn"
    failures: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    """Taken one by one, by /translate: status, headers, message."""
    broken: dict[str, str] = field(default_factory=dict)
    base: str = "facebook/m2m100_418M"
    delay: float = 0.0
    runs: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    done: list[tuple[str, str]] = field(default_factory=list)
    key: str | None = None

    def library(self) -> dict[str, Any]:
        """Return the answer of /api/library."""
        languages = [
            {"code": code, "name": name, "native": native, "history": 2, "bytes": 5_242_880,
             "versions": {} if code == "eng_Latn" else {"source": f"{n:02x}3f9c" * 10, "target": f"{n:02x}a7b1" * 10}}
            for n, (code, (name, native)) in enumerate(self.names.items())
        ]  # fmt: skip
        base = {"name": self.base, "fingerprint": "ab12" * 16}
        return {"base": base, "languages": languages, "broken": self.broken, "scores": scores(list(self.names))}


def short(code: str) -> str:
    """Return a code as LibreTranslate writes it; what is none stays as it is."""
    try:
        return in_form_of(code, "en")
    except LanguageError:
        return code


def create(backend: Backend) -> FastAPI:
    """Return the application."""
    app = FastAPI()
    app.include_router(router())

    @app.post("/translate")
    async def translate(request: Request) -> JSONResponse:
        body = await request.json()
        backend.asked.append(body)
        await asyncio.sleep(backend.delay)
        if backend.key is not None and body.get("api_key") != backend.key:
            return JSONResponse({"error": "`api_key` must be a valid key."}, 403)
        if backend.failures:
            status, headers, message = backend.failures.pop(0)
            return JSONResponse({"error": message}, status, headers)
        source = short(backend.detected) if body["source"] == "auto" else body["source"]
        text = f"[{source}→{body['target']}] {body['q']}" if backend.translation is None else backend.translation
        answer: dict[str, Any] = {"translatedText": text}
        if body["source"] == "auto":
            answer["detectedLanguage"] = {"language": source, "confidence": 92.0}
        if body.get("alternatives"):
            answer["alternatives"] = [f"{text} ({n})" for n in range(1, 3)]
        versions = {f"{source}.source": "3f9c" * 16, f"{body['target']}.target": "a7b1" * 16}
        return JSONResponse({**answer, "lingraft": {"via": backend.via, "versions": versions}})

    @app.get("/languages")
    async def languages() -> list[dict[str, Any]]:
        codes = [short(code) for code in backend.names]
        return [{"code": short(c), "name": n, "targets": codes} for c, (n, _) in backend.names.items()]

    @app.get("/frontend/settings")
    async def settings() -> dict[str, Any]:
        return {"charLimit": 5000, "keyRequired": backend.key is not None, "apiKeys": backend.key is not None,
                "language": {"source": {"code": "auto"}, "target": {"code": "fr"}}}  # fmt: skip

    @app.get("/api/library")
    async def library() -> dict[str, Any]:
        return backend.library()

    @app.get("/admin/training")
    @app.post("/admin/languages/{code}")
    @app.delete("/admin/languages/{code}")
    @app.post("/admin/languages/{code}/rollback")
    async def admin(request: Request, code: str = "") -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {ADMIN_KEY}":
            return JSONResponse({"error": "the admin key must be right, but is not."}, 403)
        if not code:
            return JSONResponse({"runs": backend.runs})
        verb = "rollback" if request.url.path.endswith("rollback") else request.method
        backend.done.append((verb, code))
        if verb == "DELETE":
            backend.names.pop(code, None)
        return JSONResponse({"code": code, "versions": {}})

    return app


@contextlib.contextmanager
def serving(backend: Backend) -> Iterator[str]:
    """Serve in a thread; yields the address."""
    with fake.serving(create(backend)) as address:
        yield address
