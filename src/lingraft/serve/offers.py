"""Whether a language is on offer, whether a client named it or a text was found to be in it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lingraft.atoms.languages import find, name
from lingraft.serve.detect import Detected
from lingraft.serve.refusals import LISTED, Refused

_ALIKE = 0.85
"""How much of a name, or of a code with its script, must be as a client spelled it to be what was meant."""


@dataclass(frozen=True)
class Words:
    """What things are called in a client's interface."""

    texts: str = "q"
    source: str = "source"
    target: str = "target"
    listed: str = LISTED
    """Where the languages on offer are listed."""


def known(spelled: str, offered: Sequence[str], place: str, words: Words) -> str:
    """Return the code of a language that is on offer.

    Args:
        spelled: A code or a name in any form.
        offered: Codes.
        place: The field that it came in.
        words: What things are called in the client's interface.

    Returns:
        The code ``xxx_Yyyy``.

    Raises:
        Refused: It is none of these. What the client wrote is not repeated, for it might be a text.
    """
    code = find(spelled) if len(spelled) <= 64 and spelled.isprintable() else None
    if code is not None and code in offered:
        return code
    near = _near(spelled[:64], code, offered)
    remedy = f"Did you mean {' or '.join(near)}? " if near else ""
    raise Refused(
        400, f"`{place}` must be a language of this service, but is none. {remedy}{words.listed}", code="language"
    )


def require_told(found: Detected, words: Words) -> None:
    """Refuse a text whose language cannot be told.

    Args:
        found: What was detected. A text without words passes.
        words: What things are called in the client's interface.

    Raises:
        Refused: The text's letters are of no language on offer, or of several that nothing else is known of.
    """
    if found.trouble == "foreign":
        told = "must be in a language of this service, but its letters are of none"
        raise Refused(400, f"the text {told}. {words.listed}", code="language")
    if found.trouble == "shared":
        told = "must be in a language that can be told, but several of this service have its letters"
        raise Refused(400, f"the text {told}. Name it in `{words.source}` to translate it.", code="language")


def require_offered(found: Detected, offered: Sequence[str], words: Words) -> None:
    """Refuse a text that is not in a language on offer.

    Args:
        found: What was detected. A text without words passes.
        offered: Codes.
        words: What things are called in the client's interface.

    Raises:
        Refused: It is in another language, or its language cannot be told.
    """
    require_told(found, words)
    if found.language is not None and found.language not in offered:
        told = f"must be in a language of this service, but seems to be in {found.language}"
        raise Refused(400, f"the text {told}. {words.listed}", code="language")


def _near(spelled: str, code: str | None, offered: Sequence[str]) -> list[str]:
    """Return the languages on offer that may be meant: the same one in another script, or one spelled alike."""
    if code is not None:
        return [each for each in offered if each[:3] == code[:3]]
    spellings = _spellings(tuple(offered))
    found = difflib.get_close_matches(spelled.casefold(), spellings, n=3, cutoff=_ALIKE)
    return list(dict.fromkeys(spellings[each] for each in found))


@lru_cache(maxsize=8)
def _spellings(offered: tuple[str, ...]) -> Mapping[str, str]:
    """Return names and codes of languages in small letters, each with its code."""
    return {spelled.casefold(): code for code in offered for spelled in (name(code), code)}
