"""DeepL's interface for texts, as its clients know it. Glossaries, documents and formality are not offered."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from lingraft.atoms import ENGLISH
from lingraft.atoms.languages import in_form_of, name
from lingraft.serve.bodies import Body, parse
from lingraft.serve.described import Message, faults, takes
from lingraft.serve.offers import Words
from lingraft.serve.refusals import LISTED_DEEPL, Refused
from lingraft.serve.translating import Ask, Desk

routes = APIRouter(prefix="/v2", tags=["DeepL"])
_FORM = "EN"
_VARIANTS = {
    ENGLISH: (("EN-GB", "English (British)"), ("EN-US", "English (American)")),
    "por_Latn": (("PT-BR", "Portuguese (Brazilian)"), ("PT-PT", "Portuguese (European)")),
}
"""Targets that DeepL's clients write only with a country. The translation is the same for both."""
UNLIMITED = 1_000_000_000_000
"""What DeepL says where there is no limit."""


class TranslateBody(Body):
    """A request for translations."""

    text: str | list[str]
    """The text, or several."""
    target_lang: str
    source_lang: str | None = None
    """None: to be detected."""
    tag_handling: Literal["html", "xml"] | None = None
    ignore_tags: str | tuple[str, ...] = ()
    """Elements whose content is kept, in a list or with commas."""
    formality: Literal["default", "prefer_more", "prefer_less", "more", "less"] = "default"
    """Must not be "more" or "less": no model here knows."""
    glossary_id: str | None = None
    """Must not be given."""


class LanguagesBody(Body):
    """A request for the languages on offer; DeepL's own client sends a body with GET."""

    type: Literal["source", "target"] = "source"


class Text(BaseModel):
    """A translated text."""

    detected_source_language: str
    text: str
    billed_characters: int


class Translations(BaseModel):
    """The answer to a request for translations."""

    translations: list[Text]


class Language(BaseModel):
    """A language on offer."""

    language: str
    name: str
    supports_formality: bool | None = None


class Usage(BaseModel):
    """How many characters the key has had translated since the service started."""

    character_count: int
    character_limit: int


@routes.post(
    "/translate",
    response_model=Translations,
    openapi_extra=takes(TranslateBody, forms=True),
    responses=faults(Message, 400, 403, 408, 413, 415, 429, 456, 503),
)
async def translate(request: Request, response: Response) -> Translations:
    """Translate texts."""
    desk: Desk = request.app.state.desk
    caller = request.scope["lingraft"]
    body = parse(TranslateBody, caller.fields)
    for told, wrong in (("glossary_id", body.glossary_id), ("formality", body.formality in ("more", "less"))):
        if wrong:
            raise Refused(400, f"`{told}` must be left out, since it is not offered here.")
    ignore = body.ignore_tags.split(",") if isinstance(body.ignore_tags, str) else body.ignore_tags
    ask = Ask(
        texts=(body.text,) if isinstance(body.text, str) else tuple(body.text),
        source=body.source_lang or None,
        target=body.target_lang,
        kind=body.tag_handling or "text",
        ignore=tuple(each.strip() for each in ignore),
        words=Words("text", "source_lang", "target_lang", LISTED_DEEPL),
    )
    done = await desk.translate(ask, caller.identity)
    response.headers.update(done.headers)
    found = [
        Text(
            detected_source_language=in_form_of(source.language or ENGLISH, _FORM),
            text=text,
            billed_characters=len(before),
        )
        for source, text, before in zip(done.sources, done.texts, ask.texts, strict=True)
    ]
    return Translations(translations=found)


@routes.get(
    "/languages",
    response_model=list[Language],
    response_model_exclude_unset=True,
    responses=faults(Message, 400, 403, 408, 413, 415, 429, 503),
)
async def languages(request: Request, type: Literal["source", "target"] | None = None) -> list[Language]:
    """List the languages on offer, as sources or as targets."""
    fields = request.scope["lingraft"].fields
    role = type or parse(LanguagesBody, fields).type
    found = []
    for code in request.app.state.desk.service.state().offered:
        plain: tuple[tuple[str, str], ...] = ((in_form_of(code, _FORM), name(code)),)
        for written, called in plain if role == "source" else _VARIANTS.get(code, plain):
            extra: dict[str, Any] = {} if role == "source" else {"supports_formality": False}
            found.append(Language(language=written, name=called, **extra))
    return found


@routes.get("/usage", response_model=Usage, responses=faults(Message, 400, 403, 408, 413, 415, 429, 503))
async def usage(request: Request) -> Usage:
    """Say how many characters the key has used, and how many it may."""
    desk: Desk = request.app.state.desk
    used = desk.limits.used(request.scope["lingraft"].identity)
    return Usage(character_count=used, character_limit=desk.limits.settings.quota or UNLIMITED)
