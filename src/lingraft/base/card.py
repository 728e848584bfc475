"""The card of a base, ``lingraft.json``: its prompt format, its languages and what it calls them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file

from lingraft.atoms import BaseError, LanguageError, languages
from lingraft.base.families import Family
from lingraft.base.format import Format
from lingraft.base.prompt import ChatFormat, PromptFormat
from lingraft.base.seq2seq import Seq2SeqFormat

CARD = "lingraft.json"


def read_card(where: str, revision: str | None) -> dict[str, Any]:
    """Return what ``lingraft.json`` of a folder or hub id says, or an empty card where there is none.

    Args:
        where: folder or hub id.
        revision: commit, tag or branch of a hub id.

    Returns:
        The card, checked as far as this package reads it.

    Raises:
        BaseError: the file is no JSON, a value in it is of the wrong type, or a language has another code there.
    """
    file = cached_file(
        where,
        CARD,
        revision=revision,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if file is None:
        return {}
    problem = None
    try:
        card = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        problem = str(error)
    else:
        problem = _card_problem(card)
    if problem:
        raise BaseError(f"`{CARD}` of {where} must be a base card, but is none: {problem}. Correct the file.")
    return dict(card)


def _card_problem(card: Any) -> str | None:
    if not isinstance(card, dict):
        return "it is no JSON object"
    if not isinstance(card.get("format", {}), dict):
        return "`format` is no object"
    known = card.get("languages", [])
    if not isinstance(known, list) or not all(isinstance(code, str) for code in known):
        return "`languages` is no list of codes"
    return _codes_problem("languages", known) or _names_problem(card.get("names", {}))


def _names_problem(names: Any) -> str | None:
    if not isinstance(names, Mapping) or not all(isinstance(text, str) for pair in names.items() for text in pair):
        return "`names` is no object of code to name"
    return _codes_problem("names", names)


def _codes_problem(key: str, codes: Iterable[str]) -> str | None:
    """Say which code is not in the internal form, in which all languages are compared."""
    for code in codes:
        try:
            right = languages.parse(code)
        except LanguageError as error:
            return f"`{key}` holds {code!r}, which is no code ({error})"
        if code != right:
            return f"`{key}` holds {code!r}, which must be written {right}"
    return None


def make_format(
    spec: Mapping[str, Any] | None,
    tokenizer: Any,
    config: Any,
    family: Family,
    names: Mapping[str, str] | None = None,
) -> Format:
    """Return the format that a spec describes, or the family's default without one.

    Args:
        spec: ``{"kind": "prompt", "source", "target", "answer"}``, ``{"kind": "chat", "instruction"}`` or
            ``{"kind": "seq2seq"}``; the kind may be left out of a prompt.
        tokenizer: the base's tokenizer.
        config: the model's config, for the decoder's start token.
        family: decides which kinds are possible.
        names: the base's own English language names; a spec's names come first.

    Returns:
        A format over this tokenizer.

    Raises:
        BaseError: the spec has an unknown kind or key, or names that are no names of languages.
    """
    values = dict(spec or {})
    kinds = {"decoder": ("prompt", "chat"), "seq2seq": ("seq2seq",)}[family.kind]
    kind = values.pop("kind", kinds[0])
    keys = {"prompt": {"source", "target", "answer", "names"}, "chat": {"instruction", "template", "names"}}
    unknown = sorted(set(values) - keys.get(str(kind), {"decoder_start"}))
    if kind not in kinds or unknown:
        raise BaseError(
            f"the format of a base of the family {family.name} must be of the kind {' or '.join(kinds)} with the keys "
            f"{', '.join(sorted(keys.get(kinds[0], set()))) or '(none)'}, but is {dict(spec or {})!r} instead. "
            f"Correct `format` in the base's {CARD}."
        )
    if problem := _names_problem(values.get("names", {})):
        raise BaseError(
            f"the format's `names` must be an object of language code to name, but is none: {problem}. "
            f"Correct `format` in the base's {CARD}."
        )
    own = {**(names or {}), **values.get("names", {})}
    texts: dict[str, str] = {key: value for key, value in values.items() if key not in ("names", "template")}
    if kind == "prompt":
        return PromptFormat(tokenizer, names=own, **texts)
    if kind == "chat":
        return ChatFormat(tokenizer, names=own, **texts)
    return Seq2SeqFormat(tokenizer, config.decoder_start_token_id)
