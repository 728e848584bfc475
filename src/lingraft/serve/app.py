"""The HTTP application: the routes of all interfaces behind one gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lingraft.atoms import ConfigError
from lingraft.serve.gate import Gate
from lingraft.serve.keys import Keys
from lingraft.serve.limits import Limits
from lingraft.serve.metrics import Metrics
from lingraft.serve.refusals import Refused, respond
from lingraft.serve.settings import ServeSettings
from lingraft.serve.translating import Desk, Service

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

    from lingraft.serve.detect import Detector


def create_app(engine: Service, settings: ServeSettings, detector: Detector) -> FastAPI:
    """Return the application.

    Args:
        engine: Translates. Whoever started it stops it.
        settings: Limits and keys.
        detector: Names the languages of texts.

    Returns:
        An ASGI application, for uvicorn with ``log_config=logs.config()``.

    Raises:
        ConfigError: FastAPI is not installed, or a file of keys cannot be used.
    """
    try:
        from fastapi import FastAPI
        from fastapi.exceptions import RequestValidationError
        from starlette.exceptions import HTTPException
        from starlette.middleware.cors import CORSMiddleware

        from lingraft.serve import admin, deepl, libretranslate, openai_api, own_api, static
    except ImportError as error:
        raise ConfigError(
            f"`lingraft serve` must have its extra, but {error.name} is missing. Run: pip install 'lingraft[serve]'."
        ) from None
    keys = None if settings.keys is None else Keys(settings.keys)
    admin_keys = None if settings.admin_keys is None else Keys(settings.admin_keys)
    limits, metrics = Limits(settings), Metrics(engine.state)
    # FastAPI's own pages of documentation load scripts from elsewhere.
    app = FastAPI(title="Lingraft", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.desk = Desk(engine, detector, limits, metrics, keyed=keys is not None)
    for part in (libretranslate, deepl, openai_api, own_api, admin):
        app.include_router(part.routes)
    app.include_router(static.router())
    app.add_exception_handler(HTTPException, _wrong_path)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    known = frozenset(path for route in app.routes if (path := getattr(route, "path", "")) and "{" not in path)
    app.add_middleware(
        Gate, limits=limits, keys=keys, admin_keys=admin_keys, metrics=metrics, known=known, check=engine.check
    )
    if settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.origins, allow_methods=["*"], allow_headers=["*"])
    return app


async def _wrong_path(request: Request, error: Exception) -> Response:
    told = {404: "there is no such path here.", 405: "the path must be asked by another method."}
    status = getattr(error, "status_code", 400)
    refused = Refused(status, told.get(status, "the request must be another."), code="http")
    answer = respond(request.url.path, refused)
    answer.headers.update(getattr(error, "headers", None) or {})
    return answer


async def _wrong_parameter(request: Request, _: Exception) -> Response:
    return respond(request.url.path, Refused(400, "a parameter of the query or the path must be another."))
