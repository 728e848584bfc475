"""LibreTranslate's interface, as its clients know it; the languages' codes are short where they can be."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from lingraft.atoms import ENGLISH
from lingraft.atoms.languages import in_form_of, name
from lingraft.serve.bodies import Body, parse, require_text
from lingraft.serve.described import Fault, faults, takes
from lingraft.serve.detect import Detected
from lingraft.serve.offers import Words, require_told
from lingraft.serve.translating import Ask, Desk

routes = APIRouter(tags=["LibreTranslate"])
FORM = "en"
"""The codes that `/languages` gives have the form of this one."""


class TranslateBody(Body):
    """A request for translations."""

    q: str | list[str]
    """The text, or several."""
    source: str
    """The language of the text: a code or a name; "auto": to be detected."""
    target: str
    """The language to translate into."""
    format: Literal["text", "html"] = "text"
    alternatives: int = Field(default=0, ge=0)
    """Other translations of each text."""
    api_key: str | None = None


class DetectBody(Body):
    """A request for the language of a text."""

    q: str
    api_key: str | None = None


class Found(BaseModel):
    """The language of a text."""

    language: str
    confidence: float
    """Percent."""


class Versions(BaseModel):
    """How an answer was computed."""

    via: str
    versions: dict[str, str]


class Translation(BaseModel):
    """The answer to a request for translations: values where it had one text, lists where it had several."""

    translatedText: str | list[str]  # noqa: N815
    detectedLanguage: Found | list[Found] | None = None  # noqa: N815
    alternatives: list[str] | list[list[str]] | None = None
    lingraft: Versions


class Language(BaseModel):
    """A language on offer."""

    code: str
    name: str
    targets: list[str]


class Named(BaseModel):
    """A language that a page begins with."""

    code: str
    name: str


class FrontendSettings(BaseModel):
    """What a page must know of the service."""

    apiKeys: bool  # noqa: N815
    charLimit: int  # noqa: N815
    filesTranslation: bool  # noqa: N815
    frontendTimeout: int  # noqa: N815
    keyRequired: bool  # noqa: N815
    language: dict[str, Named]
    suggestions: bool
    supportedFilesFormat: list[str]  # noqa: N815


def short(code: str) -> str:
    """Return the code of a language as LibreTranslate's clients write it."""
    return in_form_of(code, FORM)


@routes.post(
    "/translate",
    response_model=Translation,
    response_model_exclude_unset=True,
    openapi_extra=takes(TranslateBody, forms=True),
    responses=faults(Fault, 400, 403, 408, 413, 415, 429, 456, 503),
)
async def translate(request: Request, response: Response) -> Translation:
    """Translate a text, or several."""
    desk: Desk = request.app.state.desk
    caller = request.scope["lingraft"]
    body = parse(TranslateBody, caller.fields)
    single = isinstance(body.q, str)
    auto = body.source.strip().lower() == "auto"
    ask = Ask(
        texts=(body.q,) if isinstance(body.q, str) else tuple(body.q),
        source=None if auto else body.source,
        target=body.target,
        kind=body.format,
        alternatives=body.alternatives,
    )
    done = await desk.translate(ask, caller.identity)
    response.headers.update(done.headers)
    answer: dict[str, Any] = {"translatedText": done.texts[0] if single else list(done.texts), "lingraft": done.note}
    if auto:
        found = [_found(each, body.target, done.target) for each in done.sources]
        answer["detectedLanguage"] = found[0] if single else found
    if body.alternatives:
        others = [list(each) for each in done.alternatives]
        answer["alternatives"] = others[0] if single else others
    return Translation(**answer)


@routes.post(
    "/detect",
    response_model=list[Found],
    openapi_extra=takes(DetectBody, forms=True),
    responses=faults(Fault, 400, 403, 408, 413, 415, 429, 503),
)
async def detect(request: Request) -> list[Found]:
    """Name the language of a text."""
    desk: Desk = request.app.state.desk
    body = parse(DetectBody, request.scope["lingraft"].fields)
    desk.limits.check_texts([body.q])
    require_text([body.q], "q")
    found = (await desk.detect([body.q]))[0]
    require_told(found, Words())
    return [_found(found, FORM, ENGLISH)]


@routes.get("/languages", response_model=list[Language])
async def languages(request: Request) -> list[Language]:
    """List the languages on offer; every one can be translated into every other one."""
    offered = request.app.state.desk.service.state().offered
    codes = {code: short(code) for code in offered}
    return [
        Language(code=codes[code], name=name(code), targets=[codes[other] for other in offered if other != code])
        for code in offered
    ]


@routes.get("/frontend/settings", response_model=FrontendSettings)
async def frontend_settings(request: Request) -> FrontendSettings:
    """Say what a page must know of the service."""
    desk: Desk = request.app.state.desk
    state = desk.service.state()
    first = next((code for code in (*state.languages, *state.offered) if code != ENGLISH), ENGLISH)
    return FrontendSettings(
        apiKeys=desk.keyed,
        charLimit=desk.limits.settings.characters,
        filesTranslation=False,
        frontendTimeout=500,
        keyRequired=desk.keyed,
        language={
            "source": Named(code="auto", name="Auto Detect"),
            "target": Named(code=short(first), name=name(first)),
        },
        suggestions=False,
        supportedFilesFormat=[],
    )


def _found(found: Detected, like: str, otherwise: str) -> Found:
    """Return what was detected in the form of the client's codes; LibreTranslate has no word for "unknown" but 0 %."""
    code = in_form_of(found.language or otherwise, like)
    return Found(language=code, confidence=found.confidence)
