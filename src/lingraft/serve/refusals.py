"""Errors as HTTP: which status each has, and how each of the three interfaces words it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lingraft.atoms import DataError, LanguageError, LibraryError, LingraftError
from lingraft.serve.answers import Busy, Stopping

if TYPE_CHECKING:
    from fastapi import Response


class Refused(LingraftError):  # noqa: N818
    """A request that is answered by an error; the message holds nothing of what the client sent."""

    code = "request"

    def __init__(self, status: int, message: str, *, code: str = "request", retry_after: float | None = None) -> None:
        """Say what is wrong.

        Args:
            status: The HTTP status.
            message: For the person who sent the request.
            code: For programs.
            retry_after: Seconds until it may be sent again.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


_OPEN = (Refused, Busy, Stopping)
"""Errors whose messages are for clients. Others may name files of the service or hold a part of a text."""
LISTED = "GET /languages lists them."
LISTED_DEEPL = "GET /v2/languages lists them."
LISTED_OPENAI = "GET /v1/models lists some."
"""Where each interface lists the languages on offer."""
_TOLD = {
    400: "source and target must be two languages that are served, but are not. {listed}",
    413: "a sentence must be short enough for the base to read, but is not. Split it.",
    503: "the direction must be computable, but is not now. It is logged; tell the operator.",
}


def status_of(error: LingraftError) -> int:
    """Return the HTTP status of an error that reached the edge of the service."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, Busy | Stopping):
        return 503
    if isinstance(error, DataError):  # a sentence is longer than the base can read
        return 413
    if isinstance(error, LanguageError | LibraryError):
        return 503 if error.code in ("library.busy", "library.damaged", "library.unreadable") else 400
    return 503  # an adapter that is damaged, a computation that failed: not the client's fault


def respond(path: str, error: LingraftError) -> Response:
    """Return the answer that says an error in the words of the interface that was asked.

    Args:
        path: The path of the request.
        error: What happened.

    Returns:
        JSON: ``{"message"}`` for DeepL's paths, ``{"error": {…}}`` for OpenAI's, ``{"error", "code"}`` for all others.
    """
    from fastapi.responses import JSONResponse

    status = status_of(error)
    message = str(error) if path.startswith("/admin/") or isinstance(error, _OPEN) else _told(path, status)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is None and isinstance(error, Stopping):
        retry_after = 10.0
    headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(_worded(path, status, message, error.code), status, headers)


def _told(path: str, status: int) -> str:
    """Return what a client is told of an error whose message is not for clients."""
    listed = LISTED_DEEPL if path.startswith("/v2/") else LISTED_OPENAI if path.startswith("/v1/") else LISTED
    return _TOLD[status].format(listed=listed)


def _worded(path: str, status: int, message: str, code: str) -> dict[str, Any]:
    if path.startswith("/v2/"):
        return {"message": message}
    if path.startswith("/v1/"):
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status)
        kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
        return {"error": {"message": message, "type": kind, "code": code, "param": None}}
    return {"error": message, "code": code}
