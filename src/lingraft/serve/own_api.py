"""Lingraft's own routes: what the library holds, how the service is, and its numbers."""

from __future__ import annotations

import asyncio
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from lingraft.atoms import ENGLISH, AdapterError, DataError, Role
from lingraft.atoms.languages import name
from lingraft.library import Pointer
from lingraft.library.disk import read_file
from lingraft.library.places import SCORES_FILE, Places
from lingraft.measure.results import Results
from lingraft.serve.described import Fault, faults
from lingraft.serve.translating import Desk

routes = APIRouter(tags=["Lingraft"])
_SCORES_BYTES = 32_000_000
_DAMAGED = "Its files are damaged; the log of the service says which."


class Base(BaseModel):
    """The base that all languages share."""

    name: str
    revision: str | None
    fingerprint: str


class Installed(BaseModel):
    """A language on offer."""

    code: str
    name: str
    native: str
    """Its name in itself, as far as CLDR knows it."""
    versions: dict[str, str]
    """Role → content hash of its adapter; empty where the base knows the language by itself."""
    history: int
    """How many earlier versions can be gone back to."""
    bytes: int
    """Of its adapters on disk."""


class LibraryAnswer(BaseModel):
    """What the library holds."""

    base: Base
    languages: list[Installed]
    broken: dict[str, str]
    """Languages on disk that cannot be served, or not in all directions; the log says why."""
    withdrawn: list[str]
    """Languages on disk that an operator has taken out."""
    scores: dict[str, Any] | None
    """The library's last measurement."""


class Health(BaseModel):
    """How the service is."""

    status: str
    """"ok", "starting", "stopping" or "failed"."""


@routes.get("/api/library", response_model=LibraryAnswer)
async def library(request: Request) -> LibraryAnswer:
    """Say which base and languages are served, and how well, as far as it was measured."""
    desk: Desk = request.app.state.desk
    state = desk.service.state()
    card = desk.service.library.card
    told = (*state.languages, *([] if ENGLISH in state.languages else [ENGLISH]))
    languages = [_installed(desk.path, code, state.languages.get(code)) for code in sorted(told)]
    return LibraryAnswer(
        base=Base(name=card.base.id, revision=card.base.revision, fingerprint=card.base.fingerprint),
        languages=languages,
        broken=dict.fromkeys(state.broken, _DAMAGED),
        withdrawn=list(state.withdrawn),
        scores=await asyncio.to_thread(_scores, desk),
    )


@routes.get("/health", response_model=Health, responses={503: {"model": Health}})
@routes.get("/health/ready", response_model=Health, responses={503: {"model": Health}})
async def ready(request: Request) -> Response:
    """Say whether requests are taken now."""
    state = request.app.state.desk.service.state()
    status = "failed" if state.failure else "stopping" if state.stopping else "ok" if state.ready else "starting"
    return JSONResponse({"status": status}, 200 if status == "ok" else 503)


@routes.get("/health/live", response_model=Health, responses={503: {"model": Health}})
async def live(request: Request) -> Response:
    """Say whether the process works; where it does not, only a restart helps."""
    failed = request.app.state.desk.service.state().failure is not None
    return JSONResponse({"status": "failed" if failed else "ok"}, 503 if failed else 200)


@routes.get("/metrics", response_class=Response, responses=faults(Fault, 403, 429))
async def metrics(request: Request) -> Response:
    """Return the numbers for Prometheus."""
    text = await asyncio.to_thread(request.app.state.desk.metrics.text)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@lru_cache(maxsize=1024)
def native_name(code: str) -> str:
    """Return a language's name in itself, in English where CLDR does not know it."""
    import langcodes

    tag = code.replace("_", "-")
    found: str = langcodes.Language.get(tag).autonym()
    return name(code) if found.startswith("Unknown language") else found.split(" (")[0]


def _installed(path: Path, code: str, pointer: Pointer | None) -> Installed:
    versions = {} if pointer is None else {role.value: pointer.of(role) for role in Role}
    return Installed(
        code=code,
        name=name(code),
        native=native_name(code),
        versions=versions,
        history=0 if pointer is None else len(pointer.history),
        bytes=sum(_bytes(path, code, role, version) for role, version in versions.items()),
    )


@lru_cache(maxsize=4096)
def _bytes(path: Path, code: str, role: str, version: str) -> int:
    """Return the size of a version; it never changes."""
    folder = Places(path).folder(code, Role(role)) / version
    return sum(file.stat().st_size for file in folder.glob("*") if file.is_file())


def _scores(desk: Desk) -> dict[str, Any] | None:
    """Return the library's last measurement; None where there is none that can be read."""
    try:
        status = (desk.path / SCORES_FILE).stat()
        seen = status.st_mtime_ns, status.st_size, status.st_ino
        if desk.cache.get("seen") != seen:
            text = bytes(read_file(desk.path, (SCORES_FILE,), _SCORES_BYTES))
            desk.cache["scores"] = json.loads(Results.from_json(text).to_json())
            desk.cache["seen"] = seen
    except (OSError, DataError, AdapterError):
        return None
    found: dict[str, Any] = desk.cache["scores"]
    return found
