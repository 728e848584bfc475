"""From what a client asks to what the engine computes, and back; the three interfaces share it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lingraft.atoms import Direction
from lingraft.library import Library
from lingraft.serve.answers import Answer, State
from lingraft.serve.bodies import require_text
from lingraft.serve.detect import Detected, Detector
from lingraft.serve.limits import Limits
from lingraft.serve.markup import Kind, Marked, mark
from lingraft.serve.metrics import Metrics
from lingraft.serve.offers import Words, known, require_offered
from lingraft.serve.refusals import Refused

NOTHING = "none"
"""The way of an answer for which nothing was computed: the text has no letters, or both languages are the same."""
_TRIES = 3


class Service(Protocol):
    """What the routes need of an engine."""

    library: Library

    async def translate(
        self, texts: Sequence[str], direction: Direction, *, alternatives: int = 0, via: str | None = None
    ) -> Answer:
        """Translate texts, all with the same versions."""
        ...

    def check(self) -> None:
        """Refuse now what would be refused of any request."""
        ...

    def state(self) -> State:
        """Return what is served now."""
        ...

    async def install(self, language: str) -> Mapping[str, Any]:
        """Serve a language as it lies on disk."""
        ...

    async def remove(self, language: str) -> Mapping[str, Any]:
        """Remove a language."""
        ...

    async def rollback(self, language: str) -> Mapping[str, Any]:
        """Go back to a language's earlier version."""
        ...


@dataclass(frozen=True)
class Ask:
    """One request for translations."""

    texts: tuple[str, ...]
    target: str
    """As the client wrote it."""
    source: str | None = None
    """None: to be detected, for each text."""
    kind: Kind = "text"
    alternatives: int = 0
    ignore: Collection[str] = ()
    """Elements of the markup whose content is kept."""
    words: Words = field(default_factory=Words)


@dataclass(frozen=True)
class Translated:
    """What came of it."""

    texts: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...]
    sources: tuple[Detected, ...]
    """The language of each text; of confidence 100 where the client named it."""
    target: str
    versions: Mapping[str, str]
    via: str

    @property
    def headers(self) -> dict[str, str]:
        """What every answer says of how it was computed."""
        versions = ", ".join(f"{name}={version}" for name, version in sorted(self.versions.items()))
        return {"X-Lingraft-Versions": versions, "X-Lingraft-Via": self.via}

    @property
    def note(self) -> dict[str, Any]:
        """The same, for a field of JSON."""
        return {"via": self.via, "versions": dict(self.versions)}


@dataclass(frozen=True)
class Desk:
    """All that a route needs to translate."""

    service: Service
    detector: Detector
    limits: Limits
    metrics: Metrics
    keyed: bool
    """Whether clients need a key."""
    cache: dict[str, Any] = field(default_factory=dict)
    """What is computed once for a state of the library."""

    @property
    def path(self) -> Path:
        """The library's folder."""
        return self.service.library.path

    async def detect(self, texts: Sequence[str]) -> list[Detected]:
        """Return the language of each text."""
        state = self.service.state()
        return await asyncio.to_thread(self.detector.identify, texts, state.languages, state.offered)

    async def translate(self, ask: Ask, identity: str) -> Translated:
        """Translate what a client asks for.

        Args:
            ask: The request.
            identity: Whom it is counted for.

        Returns:
            The translations, in order.

        Raises:
            Refused: The request is over a limit, or a language is not on offer.
        """
        characters = self.limits.check_texts(ask.texts)
        require_text(ask.texts, ask.words.texts)
        most = self.limits.settings.alternatives
        if not 0 <= ask.alternatives <= most:
            raise Refused(400, f"`alternatives` must be from 0 to {most}, but is not.", code="alternatives")
        offered = self.service.state().offered
        target = known(ask.target, offered, ask.words.target, ask.words)
        marked = [mark(text, ask.kind, ask.ignore) for text in ask.texts]
        if ask.source is None:
            sources = await self.detect([each.plain for each in marked])
            for found in sources:
                require_offered(found, offered, ask.words)
        else:
            sources = [Detected(known(ask.source, offered, ask.words.source, ask.words), 100.0)] * len(marked)
        self.limits.charge(identity, characters)
        try:
            done = await self._compute(ask, marked, [found.language for found in sources], target)
        except BaseException:
            self.limits.charge(identity, -characters)  # what was not translated is not counted
            raise
        self.metrics.translated(done.via, len(ask.texts), target, characters)
        return Translated(done.texts, done.alternatives, tuple(sources), target, done.versions, done.via)

    async def _compute(self, ask: Ask, marked: Sequence[Marked], sources: Sequence[str | None], target: str) -> Answer:
        """Return the finished texts; texts in several languages are several directions, of the same versions."""
        groups: dict[Direction, list[int]] = defaultdict(list)
        for index, (text, source) in enumerate(zip(marked, sources, strict=True)):
            if text.asks and source is not None and source != target:
                groups[Direction(source, target)].append(index)
        for _ in range(_TRIES):
            answers = await self._all(marked, groups, ask.alternatives)
            versions: dict[str, str] = {}
            for answer in answers.values():
                versions |= answer.versions
            if all(answer.versions.items() <= versions.items() for answer in answers.values()):
                break
        else:
            raise Refused(503, "the languages must not change while a request is answered, but do.", retry_after=1.0)
        texts = list(ask.texts)
        others: list[tuple[str, ...]] = [()] * len(marked)
        for direction, indices in groups.items():
            _place(marked, indices, answers[direction], texts, others)
        via = ", ".join(sorted({answer.via for answer in answers.values()})) or NOTHING
        return Answer(tuple(texts), tuple(others), versions, via)

    async def _all(
        self, marked: Sequence[Marked], groups: Mapping[Direction, Sequence[int]], alternatives: int
    ) -> dict[Direction, Answer]:
        """Return the engine's answer for each direction; they are computed together."""
        tasks: dict[Direction, asyncio.Task[Answer]] = {}
        try:
            async with asyncio.TaskGroup() as together:
                for direction, indices in groups.items():
                    asks = [text for index in indices for text in marked[index].asks]
                    work = self.service.translate(asks, direction, alternatives=alternatives)
                    tasks[direction] = together.create_task(work)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return {direction: task.result() for direction, task in tasks.items()}


def _place(
    marked: Sequence[Marked], indices: Sequence[int], answer: Answer, texts: list[str], others: list[tuple[str, ...]]
) -> None:
    """Put the answers of one direction where they belong."""
    position = 0
    for index in indices:
        count = len(marked[index].asks)
        texts[index] = marked[index].join(answer.texts[position : position + count])
        found = answer.alternatives[position] if answer.alternatives else ()
        fitting = (marked[index].join_other(other) for other in found)
        others[index] = tuple(other for other in fitting if other is not None)
        position += count
