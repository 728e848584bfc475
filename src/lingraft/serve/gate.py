"""The one door: every request passes it, whatever its path, before any route sees it.

It asks for a key, counts the request, bounds and reads the body, cancels the work of clients that went away, turns
every error into an answer, and writes one line of log. What is not listed as public here needs a key. What can be
refused before the body is read is: under load, a refusal must cost little.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from lingraft.atoms import AdapterError, ConfigError, LingraftError
from lingraft.serve import logs
from lingraft.serve.bodies import Gone, Receive, is_json, read_fields, receive_body
from lingraft.serve.keys import Keys
from lingraft.serve.limits import Limits
from lingraft.serve.metrics import Metrics
from lingraft.serve.refusals import Refused, respond

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PUBLIC = frozenset(
    {
        "/",
        "/api/library",
        "/frontend/settings",
        "/health",
        "/health/live",
        "/health/ready",
        "/languages",
        "/openapi.json",
    }
)
"""Paths that may be read without a key: the page and what it shows before anyone has typed a key."""
TRANSLATES = frozenset({"/translate", "/v1/chat/completions", "/v2/translate"})
"""Paths that texts are sent to, by POST."""
QUERIED = frozenset({"/detect", "/translate"})
"""Paths whose fields may come in the query of a POST, as LibreTranslate takes them, too."""
_SCHEMES = ("bearer ", "deepl-auth-key ")
_GONE = 499
"""As nginx counts requests whose client did not wait."""


@dataclass(frozen=True)
class Caller:
    """Who asks, and what was sent."""

    identity: str
    """Whom requests and characters are counted for: the key's name, or the address where no key is asked for."""
    name: str | None
    """The key's name."""
    fields: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the body holds, or the query."""


@dataclass
class _Answer:
    """What was sent back so far."""

    status: int = 0
    ended: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


class Gate:
    """ASGI middleware around all routes."""

    def __init__(
        self,
        app: App,
        limits: Limits,
        keys: Keys | None,
        admin_keys: Keys | None,
        metrics: Metrics,
        known: frozenset[str],
        check: Callable[[], None],
    ) -> None:
        """Stand before an application.

        Args:
            app: The application.
            limits: What each client may ask for.
            keys: The clients' keys; None: no key is asked for.
            admin_keys: The keys for the admin verbs; None: there are no such verbs.
            metrics: Where requests are counted.
            known: Paths of routes without parameters: requests to these are counted by path if no route saw them.
            check: Raises an error where any text would be refused now.
        """
        self.app = app
        self.known = known
        self.check = check
        self.limits = limits
        self.keys = keys
        self.admin_keys = admin_keys
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            else:  # there are no web sockets
                await send({"type": "websocket.close", "code": 1008})
            return
        began, answer = time.perf_counter(), _Answer()
        method: str = scope["method"]
        head = method == "HEAD"
        scope = {**scope, "method": "GET"} if head else scope  # HEAD is GET whose body stays here

        async def watched(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                _harden(message)
            elif message["type"] == "http.response.body":
                answer.ended = not message.get("more_body", False)
                message = {**message, "body": b""} if head else message
            await send(message)

        try:
            await self._answer(scope, receive, watched, answer)
        except Gone:
            answer.status = _GONE
        except LingraftError as error:
            answer.notes["code"] = error.code
            if isinstance(error, AdapterError | ConfigError):  # these name files and settings, and no text ever
                answer.notes["detail"] = str(error)
            await self._refuse(scope, receive, watched, answer, error)
        except Exception as error:
            answer.notes |= logs.where(error)
            failure = Refused(500, "the service failed at this request. It is logged; tell the operator.", code="bug")
            await self._refuse(scope, receive, watched, answer, failure)
        self._record(scope, method, answer, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, answer: _Answer) -> None:
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        path: str = scope["path"]
        admin = path == "/admin" or path.startswith("/admin/")
        if admin and self.admin_keys is None:
            raise Refused(404, "there are no admin verbs here. Start the service with `--admin-keys`.", code="off")
        public = scope["method"] == "GET" and (path in PUBLIC or path.startswith("/static/"))
        key = _key_of_headers(headers)
        caller = Caller(f"address {_address(scope)}", None) if public else None
        if caller is None and (admin or key is not None or self.keys is None):
            caller = self._admit(scope, admin, key, answer)
            if scope["method"] == "POST" and path in TRANSLATES:
                self.check()
        queried = scope["method"] == "POST" and path in QUERIED and not is_json(headers)
        query: bytes = scope.get("query_string", b"") if queried else b""
        settings = self.limits.settings
        body = await receive_body(receive, headers, settings.body, settings.slow, len(query))
        fields = {} if public else await read_fields(body, headers, query)
        if caller is None:
            caller = self._admit(scope, admin, _key_of_fields(scope, fields), answer)
        scope["lingraft"] = replace(caller, fields=MappingProxyType(fields))
        await self._run(scope, receive, send, answer)

    def _admit(self, scope: Scope, admin: bool, key: str | None, answer: _Answer) -> Caller:
        """Return who asks, and count the request."""
        name = self._who(scope["path"], admin, key)
        identity = f"key {name}" if name else f"address {_address(scope)}"
        self.limits.request(("admin " if admin else "") + identity)
        if name:
            answer.notes["key"] = name
        return Caller(identity, name)

    def _who(self, path: str, admin: bool, key: str | None) -> str | None:
        """Return the name of a key that opens a path."""
        keys = self.admin_keys if admin else self.keys
        if keys is None or (name := keys.who(key)) is not None:
            return name if keys is not None else None
        status = 401 if path.startswith("/v1/") else 403
        kind = "an admin key" if admin else "a key"
        raise Refused(
            status, f"the request must carry {kind} of this service, but does not. Ask the operator.", code="key"
        )

    async def _run(self, scope: Scope, receive: Receive, send: Send, answer: _Answer) -> None:
        """Run the application, and cancel it when the client goes away."""
        given = False
        gone = asyncio.Event()

        async def replay() -> MutableMapping[str, Any]:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": b"", "more_body": False}  # the fields are in the scope
            await gone.wait()
            return {"type": "http.disconnect"}

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        work, watcher = asyncio.ensure_future(self.app(scope, replay, send)), asyncio.ensure_future(watch())
        try:
            await asyncio.wait({work, watcher}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = not work.done() and not answer.ended  # the end of an answer ends the connection too
            if left:
                work.cancel()
            watcher.cancel()
            done = await asyncio.gather(work, watcher, return_exceptions=True)
        if left:
            raise Gone
        if isinstance(done[0], BaseException):
            raise done[0]

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, answer: _Answer, error: LingraftError) -> None:
        if answer.status:  # it has begun, so it can only be broken off
            return
        await respond(scope["path"], error)(scope, receive, send)

    def _record(self, scope: Scope, method: str, answer: _Answer, seconds: float) -> None:
        path: str = scope["path"] if scope["path"] in self.known else "unmatched"
        route: str = getattr(scope.get("route"), "path", path)
        self.metrics.request(route, method, answer.status, seconds)
        logs.write(
            "request",
            level=logging.ERROR if answer.status == 500 else logging.INFO,
            route=route,
            method=method if method.isascii() and len(method) < 8 else "other",
            status=answer.status,
            milliseconds=round(1000 * seconds, 1),
            **answer.notes,
        )


def _harden(message: MutableMapping[str, Any]) -> None:
    """Add the headers that keep a browser from guessing, storing or running what an answer holds."""
    there = {name.lower() for name, _ in message.setdefault("headers", [])}
    message["headers"] = [*message["headers"]]
    for name, value in (
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"cache-control", b"no-store"),
    ):
        if name not in there:
            message["headers"].append((name, value))


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


def _key_of_headers(headers: Mapping[str, str]) -> str | None:
    """Return the key that a request carries in a header, None where it carries none."""
    given = headers.get("authorization", "")
    scheme = next((scheme for scheme in _SCHEMES if given.lower().startswith(scheme)), None)
    return given[len(scheme) :].strip() if scheme else headers.get("x-api-key")


def _key_of_fields(scope: Scope, fields: Mapping[str, Any]) -> str | None:
    """Return the key that LibreTranslate's clients send in the body or the query."""
    if isinstance(key := fields.get("api_key"), str):
        return key
    query = scope.get("query_string", b"").decode("latin-1")
    return next((value for name, value in parse_qsl(query) if name == "api_key"), None)
