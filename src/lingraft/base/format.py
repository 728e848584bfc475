"""How a base is told what to translate from which language into which: text → token ids and back.

Each format cuts a row into three spans with exact borders: *source* (what is read), *target* (what asks
for the target language; it belongs to the target span) and *answer* (what is generated). A format is
described by a small JSON value, its ``spec``, whose hash is stored with every adapter, since an adapter
is worthless under another prompt.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lingraft.atoms import BaseError, Direction, languages

SOURCE = "Translate this from {source} to {target}:\n{source}: {text}\n"
TARGET = "{target}:"
ANSWER = " {text}"


@dataclass(frozen=True)
class Encoded:
    """The token ids of one row, span by span; ``answer`` is empty where nothing was given."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    answer: tuple[int, ...] = ()


class Format(Protocol):
    """What every format can do."""

    @property
    def hash(self) -> str:
        """sha256 of the canonical JSON of ``spec()``."""

    @property
    def end(self) -> int:
        """Id of the token that ends an answer."""

    @property
    def pad(self) -> int:
        """Id to fill a batch with (always masked)."""

    def spec(self) -> dict[str, Any]:
        """Return the JSON value that describes the format."""

    def encode(self, direction: Direction, texts: Sequence[str], answers: Sequence[str] | None = None) -> list[Encoded]:
        """Return the spans of each text, with its answer where answers are given."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids."""

    def knows(self, language: str) -> bool:
        """Say whether the format can name this language to the base."""


def spec_hash(spec: Mapping[str, Any]) -> str:
    """Return the sha256 of a spec's canonical JSON (sorted keys, no spaces)."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def clean(text: str) -> str:
    """Return a text as one line: stripped, with inner line breaks as spaces."""
    return " ".join(text.strip().splitlines())


def token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Tokenise many texts in one call, adding nothing, and reading no special token out of a user's text."""
    if not texts:
        return []
    ids = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    return [list(row) for row in ids]


def continue_ids(tokenizer: Any, before: str, texts: Sequence[str]) -> list[list[int]]:
    """Tokenise texts that stand right after ``before``.

    SentencePiece tokenizers begin each text with a space of their own. So the last character of what
    stands before goes along, and its tokens are dropped again; where they have melted into the text's
    first token, the text is tokenised alone.
    """
    anchor = before[-1:]
    if not anchor:
        return token_ids(tokenizer, texts)
    lead, *rows = token_ids(tokenizer, [anchor, *(anchor + text for text in texts)])
    melted = [i for i, row in enumerate(rows) if row[: len(lead)] != lead]
    alone = dict(zip(melted, token_ids(tokenizer, [texts[i] for i in melted]), strict=True))
    return [alone[i] if i in alone else row[len(lead) :] for i, row in enumerate(rows)]


def template_fields(name: str, template: str, required: set[str]) -> None:
    """Check the placeholders of a template.

    Args:
        name: what the template is called in the spec.
        template: the text with its placeholders.
        required: placeholders that it must hold.

    Raises:
        BaseError: it is no text, a required placeholder is missing, or one is not known.
    """
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except (TypeError, ValueError) as error:
        raise BaseError(
            f"the format's `{name}` must be a text with placeholders, but is {template!r} instead ({error}). "
            "Correct the base's lingraft.json."
        ) from None
    if required - set(fields) or set(fields) - {"source", "target", "text"} or fields.count("text") > 1:
        raise BaseError(
            f"the format's `{name}` must hold {{{'}, {'.join(sorted(required))}}} out of "
            f"{{source}}, {{target}}, {{text}} ({{text}} once at most), but is {template!r} instead. "
            "Correct the base's lingraft.json."
        )


def end_id(tokenizer: Any) -> int:
    """Return the id of the end-of-sequence token.

    Args:
        tokenizer: the base's tokenizer.

    Returns:
        The id.

    Raises:
        BaseError: the tokenizer has none.
    """
    if tokenizer.eos_token_id is None:
        raise BaseError(
            "the tokenizer must have an `eos_token`, but has none. Set it in the base's tokenizer_config.json."
        )
    return int(tokenizer.eos_token_id)


def pad_id(tokenizer: Any) -> int:
    """Return the id of the padding token, or of the end token where there is none."""
    return int(tokenizer.pad_token_id) if tokenizer.pad_token_id is not None else end_id(tokenizer)


def until(ids: Sequence[int], end: int) -> list[int]:
    """Return the ids before the first end token."""
    row = list(ids)
    return row[: row.index(end)] if end in row else row


@dataclass(frozen=True)
class Names:
    """English names of languages: the base card's own, else the ones of the language table."""

    given: Mapping[str, str]

    def __getitem__(self, language: str) -> str:
        if language in self.given:
            return self.given[language]
        return languages.name(language)
