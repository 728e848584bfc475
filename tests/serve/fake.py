"""An engine in forty lines that marks texts with their direction, and an application on it over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn

from lingraft.atoms import LibraryError
from lingraft.library import Pointer
from lingraft.library.manifest import Versions
from lingraft.serve.answers import Answer, State
from lingraft.serve.app import create_app
from lingraft.serve.detect import Detector
from lingraft.serve.settings import ServeSettings

OFFERED = ("deu_Latn", "eng_Latn", "epo_Latn", "fra_Latn", "por_Latn", "rus_Cyrl")
INSTALLED = ("deu_Latn", "epo_Latn", "fra_Latn")


def pointer(language: str, number: int = 1) -> Pointer:
    """A pointer whose hashes tell its version."""
    versions = {"source": f"{number:016x}", "target": f"{number + 1000:016x}"}
    history = tuple(Versions(source=f"{n:016x}", target=f"{n + 1000:016x}") for n in range(1, number))
    return Pointer(format_version=1, language=language, history=history, **versions)


@dataclass
class FakeEngine:
    """Says "[deu>fra] text" and keeps what it was asked."""

    path: Path = Path("nowhere")
    languages: dict[str, Pointer] = field(default_factory=lambda: {code: pointer(code) for code in INSTALLED})
    offered: tuple[str, ...] = OFFERED
    asked: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    delay: float = 0.0
    failure: Exception | None = None
    crowded: Exception | None = None
    """What any text is refused with."""
    ready: bool = True
    cancelled: int = 0
    loses: str = ""
    """What the model forgets to write."""
    says: str | None = None

    @property
    def library(self) -> Any:
        base = SimpleNamespace(id="a base", revision=None, fingerprint="ab" * 32)
        tokenizer = SimpleNamespace(tokenize=str.split)
        return SimpleNamespace(
            path=self.path, card=SimpleNamespace(base=base), base=SimpleNamespace(tokenizer=tokenizer)
        )

    async def translate(self, texts, direction, *, alternatives=0, via=None) -> Answer:
        self.asked.append((tuple(texts), str(direction)))
        versions = {
            f"{code}.{role}": getattr(self.languages[code], role)
            for code, role in ((direction.source, "source"), (direction.target, "target"))
            if code in self.languages
        }
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure:
            raise self.failure
        say = lambda text: (self.says or f"[{direction.source[:3]}>{direction.target[:3]}] {text}").replace(
            self.loses or "\0", ""
        )
        said = tuple(map(say, texts))
        others = tuple(tuple(f"{text} ({n})" for n in range(1, alternatives + 1)) for text in said)
        return Answer(said, others, versions, "direct" if versions else "base")

    def check(self) -> None:
        if self.crowded:
            raise self.crowded

    def state(self) -> State:
        broken = {"ita_Latn": "`/somewhere/x` must be whole."}
        out = ("spa_Latn",)
        return State(self.languages, self.offered, 3, 2, 1000, self.ready, not self.ready, None, broken, 7, out)

    async def install(self, language: str) -> dict[str, Any]:
        number = len(self.languages[language].history) + 2 if language in self.languages else 1
        self.languages = {**self.languages, language: pointer(language, number)}
        return self._told(language)

    async def remove(self, language: str) -> dict[str, Any]:
        if language not in self.languages:
            raise LibraryError(f"`{language}` must be a language of the library, but is none.")
        self.languages = {code: each for code, each in self.languages.items() if code != language}
        return {"language": language, "versions": {}}

    async def rollback(self, language: str) -> dict[str, Any]:
        if language not in self.languages or not self.languages[language].history:
            raise LibraryError(f"`{language}` must have an earlier version, but has none.")
        self.languages = {**self.languages, language: pointer(language, len(self.languages[language].history))}
        return self._told(language)

    def _told(self, language: str) -> dict[str, Any]:
        now = self.languages[language]
        return {"language": language, "versions": {"source": now.source, "target": now.target}}


def app(engine: FakeEngine | None = None, **settings: Any) -> Any:
    """The application on a fake engine."""
    return create_app(engine or FakeEngine(), ServeSettings(**settings), DETECTOR)


DETECTOR = Detector()


@contextlib.contextmanager
def serving(application: Any) -> Iterator[str]:
    """Serve in a thread; yields the address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        server = uvicorn.Server(uvicorn.Config(application, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
