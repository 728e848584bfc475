"""What the OpenAPI description says of bodies and errors, which the routes read themselves."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from lingraft.serve.bodies import Body

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Fault(BaseModel):
    """An error."""

    error: str
    code: str


class Message(BaseModel):
    """An error, as DeepL words it."""

    message: str


class Inner(BaseModel):
    """What is inside of OpenAI's errors."""

    message: str
    type: str
    code: str | None
    param: str | None


class OpenAIFault(BaseModel):
    """An error, as OpenAI words it."""

    error: Inner


_MEANINGS = {
    400: "The request is malformed, or a language is not on offer.",
    401: "The key is missing or wrong.",
    403: "The key is missing or wrong.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "The library's files are not as they must be.",
    413: "The request is over a limit.",
    415: "The body is of a type that is not read, or compressed.",
    429: "Too many requests; see `Retry-After`.",
    456: "The quota of characters is used up.",
    503: "Not now: the queue is full, the service stops, or a language is damaged.",
}


def takes(kind: type[Body], *, forms: bool = False) -> dict[str, Any]:
    """Return the description of a body, for ``openapi_extra``.

    Args:
        kind: Its fields.
        forms: Whether it may be a form as well as JSON.

    Returns:
        A part of an OpenAPI operation.
    """
    schema = kind.model_json_schema()
    types = ("application/json", *(_FORMS if forms else ()))
    return {"requestBody": {"required": True, "content": {each: {"schema": schema} for each in types}}}


def faults(kind: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of a route's errors, for ``responses``."""
    return {status: {"model": kind, "description": _MEANINGS[status]} for status in statuses}
