"""OpenAI's chat interface, thin: a direction is a model, and the last message of the user is what is translated."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from lingraft.atoms import ENGLISH
from lingraft.serve.bodies import Body, parse
from lingraft.serve.described import OpenAIFault, faults, takes
from lingraft.serve.offers import Words, known
from lingraft.serve.refusals import LISTED_OPENAI, Refused
from lingraft.serve.tokens import count, cut
from lingraft.serve.translating import Ask, Desk

routes = APIRouter(prefix="/v1", tags=["OpenAI"])
_STATUSES = (400, 401, 404, 408, 413, 415, 429, 456, 503)


_WORDS = Words("messages", "model", "model", LISTED_OPENAI)


class Part(Body):
    """A part of a message; only those of text are read."""

    type: str
    text: str = ""


class ChatMessage(Body):
    """One message."""

    role: str
    content: str | list[Part] | None = None


class StreamOptions(Body):
    """What a stream is to hold."""

    include_usage: bool = False
    """Whether it ends with the number of tokens."""


class ChatBody(Body):
    """A request for a translation."""

    model: str
    """A direction, e.g. deu_Latn-fra_Latn, or auto-fra_Latn."""
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = Field(default=1, ge=1)
    """How many translations; fewer may come."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Where a translation is cut, in tokens of the base."""
    max_completion_tokens: int | None = Field(default=None, ge=1)
    """The same by its newer name; of both, the smaller one holds."""
    tools: list[Any] | None = None
    """Must not hold any."""
    functions: list[Any] | None = None
    """The same by its older name."""


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
    finish_reason: Literal["stop", "length"]
    """Whether it is whole, or was cut."""


class Usage(BaseModel):
    """Tokens of the base: of the text, and of all its translations."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """The answer to a request for a translation."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


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
    for told in ("tools", "functions"):
        if getattr(body, told):
            raise Refused(400, f"`{told}` must be left out, since they are not offered here.")
    source, target = _direction(desk, body.model)
    text = next((_text(message) for message in reversed(body.messages) if message.role == "user"), None)
    if text is None:
        raise Refused(400, "`messages` must have one of the role `user`, but has none.")
    ask = Ask((text,), target, source, alternatives=body.n - 1, words=_WORDS)
    done = await desk.translate(ask, caller.identity)
    limits = [each for each in (body.max_tokens, body.max_completion_tokens) if each is not None]
    tokenizer, texts = desk.service.library.base.tokenizer, (done.texts[0], *done.alternatives[0])
    choices, usage = await asyncio.to_thread(_measured, tokenizer, text, texts, min(limits, default=None))
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": f"{done.sources[0].language or 'auto'}-{done.target}",
    }
    if body.stream:
        told_at_end = usage if body.stream_options and body.stream_options.include_usage else None
        events = _events(head, choices, told_at_end)
        return StreamingResponse(events, media_type="text/event-stream", headers=done.headers)
    completion = Completion(**head, choices=choices, usage=usage)
    return JSONResponse(completion.model_dump(), headers=done.headers)


def _measured(tokenizer: Any, text: str, texts: Sequence[str], most: int | None) -> tuple[list[Choice], Usage]:
    """Return translations, cut where they are longer than ``most`` tokens, and the number of all tokens."""
    kept = list(texts) if most is None else [cut(tokenizer, each, most) for each in texts]
    choices = [
        Choice(index=index, message=Said(content=each), finish_reason="stop" if each == whole else "length")
        for index, (each, whole) in enumerate(zip(kept, texts, strict=True))
    ]
    read, written = count(tokenizer, text), sum(count(tokenizer, each) for each in kept)
    return choices, Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


async def _events(head: dict[str, Any], choices: Sequence[Choice], usage: Usage | None) -> AsyncIterator[str]:
    """Yield the answer as server-sent events, line by line: a translation is known only when it is whole."""

    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        data = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"

    def piece(index: int, delta: dict[str, str], reason: str | None = None) -> str:
        return event([{"index": index, "delta": delta, "finish_reason": reason}])

    for choice in choices:
        yield piece(choice.index, {"role": "assistant", "content": ""})
        for line in choice.message.content.splitlines(keepends=True):
            yield piece(choice.index, {"content": line})
        yield piece(choice.index, {}, choice.finish_reason)
    if usage is not None:
        yield event([], usage=usage.model_dump())
    yield "data: [DONE]\n\n"


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, list):
        return "".join(part.text for part in message.content if part.type == "text")
    return message.content or ""


def _direction(desk: Desk, model: str) -> tuple[str | None, str]:
    """Return source and target of a direction's name; a code may have a hyphen itself. Source None: "auto"."""
    offered = desk.service.state().offered
    for place in (place for place, letter in enumerate(model[:64]) if letter == "-"):
        spelled = model[:place]
        try:
            source = None if spelled == "auto" else known(spelled, offered, "model", _WORDS)
            target = known(model[place + 1 :], offered, "model", _WORDS)
        except Refused:
            continue
        if source != target:
            return source, target
    raise Refused(
        404,
        f"`model` must be a direction of this service, e.g. deu_Latn-fra_Latn, but is none. {LISTED_OPENAI}",
        code="model_not_found",
    )
