"""OpenAI's chat interface, thin: a direction is a model, and the last message of the user is what is translated."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from lingraft.atoms import ENGLISH
from lingraft.serve.bodies import Body, parse
from lingraft.serve.described import OpenAIFault, faults, takes
from lingraft.serve.refusals import Refused
from lingraft.serve.translating import Ask, Desk, Translated, known

routes = APIRouter(prefix="/v1", tags=["OpenAI"])
_STATUSES = (400, 401, 408, 413, 415, 429, 456, 503)


class Part(Body):
    """A part of a message; only those of text are read."""

    type: str
    text: str = ""


class ChatMessage(Body):
    """One message."""

    role: str
    content: str | list[Part] | None = None


class ChatBody(Body):
    """A request for a translation."""

    model: str
    """A direction, e.g. deu_Latn-fra_Latn, or auto-fra_Latn."""
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    n: int = Field(default=1, ge=1)
    """How many translations; fewer may come."""


class Model(BaseModel):
    """A direction."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "lingraft"


class Models(BaseModel):
    """The directions between installed languages and English; other languages on offer can be asked for as well."""

    object: Literal["list"] = "list"
    data: list[Model]


class Said(BaseModel):
    """A message of the service."""

    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    """One translation."""

    index: int
    message: Said
    finish_reason: Literal["stop"] = "stop"


class Completion(BaseModel):
    """The answer to a request for a translation."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]


@routes.get("/models", response_model=Models, responses=faults(OpenAIFault, 401, 429))
async def models(request: Request) -> Models:
    """List directions."""
    codes = sorted({*request.app.state.desk.service.state().languages, ENGLISH})
    return Models(data=[Model(id=f"{a}-{b}") for a in codes for b in codes if a != b])


@routes.get("/models/{model}", response_model=Model, responses=faults(OpenAIFault, 400, 401, 404, 429))
async def one_model(request: Request, model: str) -> Model:
    """Say whether a direction is on offer."""
    source, target = _direction(request.app.state.desk, model)
    return Model(id=f"{source or 'auto'}-{target}")


@routes.post(
    "/chat/completions",
    response_model=Completion,
    openapi_extra=takes(ChatBody),
    responses=faults(OpenAIFault, *_STATUSES),
)
async def chat(request: Request) -> Response:
    """Translate the last message of the user."""
    desk: Desk = request.app.state.desk
    caller = request.scope["lingraft"]
    body = parse(ChatBody, caller.fields)
    source, target = _direction(desk, body.model)
    text = next((_text(message) for message in reversed(body.messages) if message.role == "user"), None)
    if text is None:
        raise Refused(400, "`messages` must have one of the role `user`, but has none.")
    ask = Ask((text,), target, source, alternatives=body.n - 1, names=("messages", "model", "model"))
    done = await desk.translate(ask, caller.identity)
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": f"{done.sources[0].language or 'auto'}-{done.target}",
    }
    if body.stream:
        return StreamingResponse(_events(head, done), media_type="text/event-stream", headers=done.headers)
    choices = [
        Choice(index=index, message=Said(content=each))
        for index, each in enumerate((done.texts[0], *done.alternatives[0]))
    ]
    completion = Completion.model_validate({**head, "choices": choices})
    return JSONResponse(completion.model_dump(), headers=done.headers)


async def _events(head: dict[str, Any], done: Translated) -> AsyncIterator[str]:
    """Yield the answer as server-sent events, line by line: a translation is known only when it is whole."""

    def event(index: int, delta: dict[str, str], reason: str | None = None) -> str:
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        data = {**head, "object": "chat.completion.chunk", "choices": [choice]}
        return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"

    for index, text in enumerate((done.texts[0], *done.alternatives[0])):
        yield event(index, {"role": "assistant", "content": ""})
        for line in text.splitlines(keepends=True):
            yield event(index, {"content": line})
        yield event(index, {}, "stop")
    yield "data: [DONE]\n\n"


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, list):
        return "".join(part.text for part in message.content if part.type == "text")
    return message.content or ""


def _direction(desk: Desk, model: str) -> tuple[str | None, str]:
    """Return source and target of a direction's name; a code may have a hyphen itself. Source None: "auto"."""
    offered = desk.service.state().offered
    places = [place for place, letter in enumerate(model[:64]) if letter == "-"]
    for place in places:
        spelled = model[:place]
        try:
            source = None if spelled == "auto" else known(spelled, offered, "model")
            target = known(model[place + 1 :], offered, "model")
        except Refused:
            continue
        if source != target:
            return source, target
    raise Refused(
        404 if not places else 400,
        "`model` must be a direction of this service, e.g. deu_Latn-fra_Latn, but is none. GET /v1/models lists some.",
        code="model_not_found",
    )
