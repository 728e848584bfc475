"""The page that comes with the service: plain files from this package, under a strict content security policy.

The page's scripts talk to the same HTTP interface as every other client. Nothing is built and nothing is fetched
from elsewhere: all that a browser loads lies in `page/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import APIRouter, Request, Response

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing inline, nothing from elsewhere, and text can never become markup: no script may write HTML at all."""

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cache-Control": "no-cache",
    }
)
"""Of every file of the page. A browser keeps files, and asks each time whether they are still the same."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page."""

    body: bytes
    media_type: str
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return the files of the page by name. Names are only ever looked up here, so no path can lead elsewhere."""
    found = {}
    for entry in files(__package__).joinpath("page").iterdir():
        media_type = _TYPES.get("." + entry.name.rpartition(".")[2])
        if media_type:
            body = entry.read_bytes()
            found[entry.name] = Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return MappingProxyType(found)


def router() -> APIRouter:
    """Return the routes of the page: ``/`` and ``/static/NAME``, for GET and HEAD.

    Returns:
        A router to include. Its routes stand outside the OpenAPI schema, for they are no interface.
    """
    from fastapi import APIRouter, HTTPException

    async def page(request: Request) -> Response:
        return _answer(request, assets()["index.html"])

    async def static(request: Request) -> Response:
        asset = assets().get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404, "There is no such file.")
        return _answer(request, asset)

    routes = APIRouter()
    routes.add_route("/", page, methods=["GET"], include_in_schema=False)
    routes.add_route("/static/{name}", static, methods=["GET"], include_in_schema=False)
    return routes


def _answer(request: Request, asset: Asset) -> Response:
    from fastapi import Response

    headers = {**HEADERS, "ETag": asset.etag}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
