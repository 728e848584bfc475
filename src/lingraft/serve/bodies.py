"""Reading what clients send: JSON, a form or a query, bounded, and refused where it is malformed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from lingraft.serve.refusals import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOST_FIELDS = 1_000
"""Fields of a form and its query."""


class Body(BaseModel):
    """What a request may hold. Forms know only text, so "3" is 3; fields of later clients are ignored.

    Some clients write null for what they do not set: a field that may be left out is left out then.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        needed = {name for name, field in cls.model_fields.items() if field.is_required()}
        return {name: value for name, value in given.items() if value is not None or name in needed}


B = TypeVar("B", bound=Body)


class Gone(Exception):  # noqa: N818
    """The client went away before it had sent its request."""


async def receive_body(receive: Receive, headers: Mapping[str, str], most: int, slow: float, before: int = 0) -> bytes:
    """Return the body of a request.

    Args:
        receive: ASGI's function for the next message.
        headers: The request's, names in small letters.
        most: Most bytes.
        slow: Seconds that the client may take.
        before: Bytes of fields that came in the query, which count as well.

    Returns:
        The bytes.

    Raises:
        Refused: It is longer, compressed or late.
        Gone: The client went away.
    """
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused(
            415, "a body must be sent as it is, but is compressed. Leave out `Content-Encoding`.", code="body"
        )
    length = headers.get("content-length", "0")
    if length.isascii() and length.isdecimal() and before + int(length[:20]) > most:
        _too_long(most)
    found = bytearray()
    try:
        async with asyncio.timeout(slow):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                found += message.get("body", b"")
                if before + len(found) > most:
                    _too_long(most)
                if not message.get("more_body", False):
                    return bytes(found)
    except TimeoutError:
        raise Refused(408, f"a body must arrive within {slow:g} s, but is not there yet.", code="body") from None


def is_json(headers: Mapping[str, str]) -> bool:
    """Say whether a body is JSON, or would be if there was one."""
    kind = _kind(headers)
    return kind == "application/json" or kind.endswith("+json")


async def read_fields(body: bytes, headers: Mapping[str, str], query: bytes = b"") -> dict[str, Any]:
    """Return the fields of a request.

    Args:
        body: The bytes.
        headers: The request's.
        query: What may hold fields as well, where the body is no JSON; those of the body go before them.

    Returns:
        Name → value. In a form or query a value is a text, or several if the name comes again.

    Raises:
        Refused: It is of another type than JSON or a form, or malformed.
    """
    if body and is_json(headers):
        return _read_json(body)
    queried = _read_pairs(query, "query", MOST_FIELDS)
    if not body:
        return _gather(queried)
    left = MOST_FIELDS - len(queried)
    if _kind(headers) == "application/x-www-form-urlencoded":
        return {**_gather(queried), **_gather(_read_pairs(body, "body", left))}
    if _kind(headers) == "multipart/form-data":
        return {**_gather(queried), **_gather(await _read_parts(body, headers, left))}
    raise Refused(415, "`Content-Type` must be application/json or a form's, but is another.", code="body")


def parse(kind: type[B], fields: Mapping[str, Any]) -> B:
    """Return the fields of a request as a value.

    Args:
        kind: What they must be.
        fields: As `read_fields` returned them.

    Returns:
        The value.

    Raises:
        Refused: A field is missing or wrong: all of them, without what they hold.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        found: dict[str, str] = {}
        for problem in error.errors(include_url=False, include_input=False):
            found.setdefault(str(problem["loc"][0]) if problem["loc"] else "body", _must(problem))
        told = "; ".join(f"`{name}` must {must}" for name, must in found.items())
    raise Refused(400, f"{told}.", code="body")


def require_text(texts: Iterable[str], name: str) -> None:
    """Refuse texts that hold what no text holds.

    Args:
        texts: The texts.
        name: Their field.

    Raises:
        Refused: One has a NUL.
    """
    if any("\0" in text for text in texts):
        raise Refused(400, f"`{name}` must be text, but holds a NUL character. Leave it out.", code="body")


def _must(problem: ErrorDetails) -> str:
    """Return what a field must be, and that it is not; nothing of what it holds."""
    if problem["type"] == "missing":
        return "be given, but is not"
    bound = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}.get(problem["type"])
    if bound is None:
        return f"{problem['msg'].removeprefix('Input should ')}, but is not"
    most, actual = problem["ctx"][bound[1]], problem["ctx"]["actual_length"]
    return f"have {bound[0]} {most} item{'' if most == 1 else 's'}, but has {'more' if actual is None else actual}"


def _kind(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
        # Halves of surrogate pairs are legal in JSON's escapes, and in no text.
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise Refused(400, "the body must be JSON in UTF-8, but is not.", code="body") from None
    if not isinstance(found, dict):
        raise Refused(400, "the body must be an object with fields, but is another value.", code="body")
    return found


def _read_pairs(form: bytes, where: str, most: int) -> list[tuple[str, str]]:
    try:
        return parse_qsl(form.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=most)
    except ValueError:
        raise Refused(400, f"the {where} must be a form in UTF-8, but is not.", code="body") from None


async def _read_parts(body: bytes, headers: Mapping[str, str], most: int) -> list[tuple[str, str]]:
    from starlette.datastructures import Headers
    from starlette.formparsers import MultiPartException, MultiPartParser

    async def stream() -> Any:
        yield body

    parser = MultiPartParser(Headers(dict(headers)), stream(), max_files=0, max_fields=most, max_part_size=len(body))
    try:
        form = await parser.parse()
        pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        for pair in pairs:
            "".join(pair).encode("utf-8")
    except (MultiPartException, ValueError, KeyError, LookupError):
        raise Refused(400, "the body must be a form without files in UTF-8, but is not.", code="body") from None
    return pairs


def _gather(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError("no number of JSON")


def _too_long(most: int) -> NoReturn:
    raise Refused(413, f"a body must have at most {most} bytes, but has more. Send it in parts.", code="body")
