"""The verbs that change which languages are served; they need a key of their own, and are off without one.

They name languages that lie in the library. No path, address or file can be given.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from lingraft.atoms import AdapterError, LibraryError
from lingraft.atoms.languages import find
from lingraft.library.progress import trainings
from lingraft.serve import logs
from lingraft.serve.described import Fault, faults
from lingraft.serve.refusals import Refused
from lingraft.serve.translating import Desk

routes = APIRouter(prefix="/admin", tags=["admin"])
_STATUS_OF = {"library.busy": 503, "library.damaged": 409, "library.unreadable": 409}
_STATUSES = (400, 403, 404, 408, 409, 413, 415, 429, 503)


class Trainings(BaseModel):
    """The trainings that run into this library, as `lingraft.library.progress.trainings` tells them."""

    runs: list[dict[str, Any]]


@routes.post("/languages/{code}", response_model=None, responses=faults(Fault, *_STATUSES))
async def install(request: Request, code: str) -> Mapping[str, Any]:
    """Serve a language as it lies in the library now: a new one, or a newer version."""
    return await _change(request, "install", code)


@routes.delete("/languages/{code}", response_model=None, responses=faults(Fault, *_STATUSES))
async def remove(request: Request, code: str) -> Mapping[str, Any]:
    """Serve a language no more; what runs is finished, and the library keeps it."""
    return await _change(request, "remove", code)


@routes.post("/languages/{code}/rollback", response_model=None, responses=faults(Fault, *_STATUSES))
async def rollback(request: Request, code: str) -> Mapping[str, Any]:
    """Go back to the version before."""
    return await _change(request, "rollback", code)


@routes.get("/training", response_model=Trainings, responses=faults(Fault, 403, 404, 408, 413, 415, 429))
async def training(request: Request) -> Trainings:
    """Say how far the trainings are that run into this library now."""
    return Trainings(runs=await asyncio.to_thread(trainings, request.app.state.desk.path))


async def _change(request: Request, verb: str, code: str) -> Mapping[str, Any]:
    named = find(code) if len(code) <= 64 and code.isprintable() else None
    if named is None:
        raise Refused(404, "the language must be a code such as deu_Latn, but is none.", code="language")
    desk: Desk = request.app.state.desk
    done = "failed"
    try:
        changed: Mapping[str, Any] = await getattr(desk.service, verb)(named)
        done = "done"
    except (AdapterError, LibraryError) as error:
        done = error.code
        status = _STATUS_OF.get(error.code, 409 if isinstance(error, AdapterError) else 404)
        raise Refused(status, str(error), code=error.code, retry_after=5.0 if status == 503 else None) from None
    finally:
        logs.write(
            "admin", level=logging.WARNING, verb=verb, language=named, outcome=done, key=request.scope["lingraft"].name
        )
    return changed
