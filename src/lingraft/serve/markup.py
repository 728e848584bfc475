"""Text with markup: tags and placeholders come back as they were, and nothing is cut.

HTML and XML are cut into tags, which pass untouched, and the runs of text between them, which are translated one by
one. So a tag can neither be lost nor made: what a model writes is escaped. The price is that a run is translated
without what stands on the other side of a tag, even where that is the same sentence. Attributes are not translated.

A placeholder (``{name}``, ``%s``, a link, a tag in plain text) is left in its sentence, and the translation is taken
where it has the same placeholders. Where it has not, the text is translated around them. Both are asked for at once, so
that they are of one version.

Joined in order, all parts give the text back, character by character; a scan is linear in the length of the text,
whatever stands in it. A tag that never ends makes the rest of the text opaque, as in a browser.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "html", "xml"]

_TAG = re.compile(
    r"""</?(?P<name>[A-Za-z_][^\s/>]*+)(?P<rest>(?:[^=>]++|=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>]*+))*+)>""",
)
_ODD = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<!", ">"), ("<?", ">"), ("</", ">"))
_UNTRANSLATED = re.compile(
    r"""(?:^|\s)(?:translate\s*=\s*["']?no\b|class\s*=\s*(?:"[^"]*\bnotranslate\b|'[^']*\bnotranslate\b|notranslate\b))""",
    re.IGNORECASE,
)
_OPAQUE = frozenset({"script", "style", "code", "kbd", "samp", "template"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_PLACEHOLDER = re.compile(
    r"\{\{[^{}\n]{1,60}\}\}"
    r"|\$?\{[A-Za-z0-9_][^{}\s]{0,60}\}|\{\}"
    r"|%(?:\([A-Za-z0-9_]{1,60}\)|[0-9]{1,2}\$)?[-+#0]?[0-9]{0,3}(?:\.[0-9]{1,3})?[sdifgxr@](?![A-Za-z])"
    r"|https?://[^\s<>\"]*[^\s<>\".,;:!?)]"
    r"|</?[A-Za-z][^<>\n]{0,200}>"
)


@dataclass(frozen=True)
class Run:
    """Text between two tags."""

    text: str
    """Without the blanks around it."""
    parts: tuple[tuple[str, bool], ...]
    """(text, whether it is to be translated): the text cut at its placeholders."""

    @classmethod
    def of(cls, text: str) -> Run:
        """Return the run of a text without blanks around it."""
        parts: list[tuple[str, bool]] = []
        position = 0
        for match in _PLACEHOLDER.finditer(text):
            parts += _around(text[position : match.start()])
            parts.append((match[0], False))
            position = match.end()
        return cls(text, tuple(parts + _around(text[position:])))

    @property
    def asks(self) -> tuple[str, ...]:
        """What must be translated: nothing, the text, or the text and also its parts between placeholders."""
        pieces = tuple(text for text, wanted in self.parts if wanted)
        if not pieces:
            return ()
        return (self.text,) if pieces == (self.text,) else (self.text, *pieces)

    def answer(self, answers: Sequence[str]) -> str:
        """Return the translation, given those of `asks`."""
        if not answers:
            return self.text
        if len(self.asks) == 1 or self.keeps(answers[0]):
            return answers[0]
        pieces = iter(answers[1:])
        return "".join(next(pieces) if wanted else text for text, wanted in self.parts)

    def keeps(self, answer: str) -> bool:
        """Say whether an answer has the same placeholders, those without a name also in the same order."""
        before, after = _PLACEHOLDER.findall(self.text), _PLACEHOLDER.findall(answer)
        ordered = lambda found: [each for each in found if each == "{}" or (each[0] == "%" and each[1] != "(")]
        return Counter(before) == Counter(after) and ordered(before) == ordered(after)


@dataclass(frozen=True)
class Marked:
    """A text as an alternation of what is kept and of runs that are translated."""

    parts: tuple[str | Run, ...]
    escaped: bool
    """Whether the text is HTML or XML, so that a translation must be escaped."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs, in order."""
        return tuple(part for part in self.parts if isinstance(part, Run))

    @property
    def plain(self) -> str:
        """The text without its markup."""
        return " ".join(run.text for run in self.runs)

    @property
    def asks(self) -> tuple[str, ...]:
        """All texts that must be translated."""
        return tuple(text for run in self.runs for text in run.asks)

    def join(self, answers: Sequence[str]) -> str:
        """Return the text with its runs translated.

        Args:
            answers: One translation for each of `asks`.

        Returns:
            The whole text.
        """
        left = iter(answers)
        return "".join(
            part if isinstance(part, str) else self._escape(part.answer([next(left) for _ in part.asks]))
            for part in self.parts
        )

    def join_other(self, answer: str) -> str | None:
        """Return the text with another translation of its only run; None: it has several, or loses a placeholder."""
        if len(self.runs) != 1 or not self.runs[0].keeps(answer):
            return None
        return "".join(part if isinstance(part, str) else self._escape(answer) for part in self.parts)

    def _escape(self, text: str) -> str:
        return html.escape(text, quote=False) if self.escaped else text


def mark(text: str, kind: Kind, ignore: Collection[str] = ()) -> Marked:
    """Cut a text into what is kept and what is translated.

    Args:
        text: Any text.
        kind: Plain ``text``, ``html`` or ``xml``.
        ignore: Names of further elements whose content is kept as it is.

    Returns:
        The text in parts.
    """
    if kind == "text":
        return Marked(tuple(_run(text, False)), False)
    opaque = {name.lower() for name in ignore} | (_OPAQUE if kind == "html" else set())
    parts: list[str | Run] = []
    for raw, is_text in _scan(text, opaque, _VOID if kind == "html" else frozenset()):
        parts += _run(raw, True) if is_text else [raw]
    return Marked(tuple(parts), True)


def _around(text: str) -> list[tuple[str, bool]]:
    """Return a piece between placeholders, the blanks around it apart; without letters it is not translated."""
    if not _has_letters(text):
        return [(text, False)] if text else []
    core = text.strip()
    start = text.index(core)
    parts = [(text[:start], False), (core, True), (text[start + len(core) :], False)]
    return [part for part in parts if part[0]]


def _run(raw: str, escaped: bool) -> list[str | Run]:
    text = html.unescape(raw) if escaped else raw
    if not _has_letters(text):
        return [raw] if raw else []
    core = text.strip()
    start = text.index(core)
    keep = html.escape if escaped else str
    parts: list[str | Run] = [keep(text[:start]), Run.of(core), keep(text[start + len(core) :])]
    return [part for part in parts if part != ""]


def _has_letters(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def _scan(text: str, opaque: Collection[str], void: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Yield (part, whether it is text); adjacent parts of text come as one."""
    start = position = 0  # of the run of text, of what is looked at
    while (position := text.find("<", position)) >= 0:
        end = _end(text, position, opaque, void)
        if end == position:  # no tag: a letter of the text
            position += 1
            continue
        if position > start:
            yield text[start:position], True
        yield text[position:end], False
        start = position = end
    if start < len(text):
        yield text[start:], True


def _end(text: str, position: int, opaque: Collection[str], void: Collection[str]) -> int:
    """Return where the tag at a position ends, with the content that is kept with it; the position if it is none."""
    following = text[position + 1 : position + 2]
    for opening, closing in _ODD:
        if text.startswith(opening, position) and not (opening == "</" and _begins_name(text[position + 2 :][:1])):
            found = text.find(closing, position + len(opening))
            return len(text) if found < 0 else found + len(closing)
    if following != "/" and not _begins_name(following):
        return position
    tag = _TAG.match(text, position)
    if tag is None:
        return len(text)
    name = tag["name"].lower()
    kept = name in opaque or _UNTRANSLATED.search(tag["rest"])
    if not kept or following == "/" or name in void or tag["rest"].endswith("/"):
        return tag.end()
    return _after_element(text, tag.end(), name)


def _begins_name(letter: str) -> bool:
    return letter == "_" or (letter.isascii() and letter.isalpha())


def _after_element(text: str, position: int, name: str) -> int:
    """Return where an element ends, given where its content begins."""
    depth = 1
    raw = name in ("script", "style")
    for match in re.compile(rf"<(/?){re.escape(name)}(?=[\s/>])", re.IGNORECASE).finditer(text, position):
        end = text.find(">", match.end())
        if end < 0:
            break
        depth += -1 if match[1] else 0 if raw or text[end - 1] == "/" else 1
        if depth == 0:
            return end + 1
    return len(text)
