"""The engine: many directions on one base in memory, and languages that come, change and go meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from lingraft.atoms import AdapterError, ConfigError, Direction
from lingraft.direction.room import MOST, fitting
from lingraft.direction.sentences import Pieces, split
from lingraft.library import Library, Pointer
from lingraft.serve import engine_parts as parts
from lingraft.serve.answers import Answer, Failed, State, Stopping
from lingraft.serve.engine_worker import CANARY, CANARY_TOKENS, Worker
from lingraft.serve.pace import Pace
from lingraft.serve.queue import Queue, Request
from lingraft.serve.versions import MISSING, Served, Way

MOST_ALTERNATIVES = 8
_LOADERS = 4
"""Threads that read adapters and split texts, so that neither the model nor the network waits for them."""
_T = TypeVar("_T")


class Engine:
    """Translates for many callers at once; all methods but the constructor belong to one event loop.

    A request is bound to one version of each adapter when it comes, and keeps it to its end, whatever is
    installed or removed meanwhile.
    """

    def __init__(
        self,
        library: Library,
        *,
        rows: int = 32,
        waiting: int = 512,
        patience: float | None = None,
        max_tokens: int = MOST,
    ) -> None:
        """Serve all languages of a library that are intact; nothing runs before `start`.

        Args:
            library: The library with its base; its budget bounds the adapters in memory.
            rows: Most sentences that run at once.
            waiting: Most sentences that wait.
            patience: Most seconds that a request waits for its turn, else it is refused; None: see `pace.BATCHES`.
            max_tokens: The longest translation of one sentence, in tokens.

        Raises:
            ConfigError: A number is not above 0.
        """
        parts.require_positive(rows=rows, waiting=waiting, patience=patience, max_tokens=max_tokens)
        self.library = library
        self._served = Served.of(library)
        self._queue = Queue(waiting, Pace(rows, patience))
        self._proved = threading.Event()
        self._worker = Worker(library.base, self._queue, rows, max_tokens, self._proved.set)
        self._loaders = ThreadPoolExecutor(_LOADERS, "lingraft-loader")
        self._changing = asyncio.Lock()
        self._preparing = 0  # texts
        self._stopping = False

    def start(self) -> None:
        """Start the worker; `state` says when it is ready. What is damaged on disk is looked for meanwhile."""
        self._worker.start()
        self._loaders.submit(parts.inspect, self._served)

    async def stop(self, grace: float = 30.0) -> None:
        """Take no new work, answer what is there, and end the worker.

        Args:
            grace: Seconds to wait for what is there; what is not answered by then is refused.
        """
        self._stopping = True
        end = asyncio.get_running_loop().time() + grace
        while self._preparing and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        self._queue.close()
        left = max(0.0, end - asyncio.get_running_loop().time())
        if not await asyncio.to_thread(self._worker.join, left):
            self._worker.halt()
            await asyncio.to_thread(self._worker.join, 5.0)
        self._loaders.shutdown(wait=False, cancel_futures=True)

    async def translate(
        self, texts: Sequence[str], direction: Direction, *, alternatives: int = 0, via: str | None = None
    ) -> Answer:
        """Translate texts; long ones are split into sentences and put together again.

        Cancelling the task that waits for it takes the request out at once.

        Args:
            texts: The texts; line breaks, blank lines and spaces between sentences are kept.
            direction: The pair of languages.
            alternatives: How many other translations of each text to look for, by beam search, which is slower.
            via: ``direct`` or ``pivot``; None: as the library has stored it (see `Served.way`).

        Returns:
            The translations, and the versions that made all of them.

        Raises:
            AdapterError: An adapter of the direction is damaged.
            Busy: The queue is full.
            ConfigError: A setting is out of range, or what is stored for the direction can't be used.
            DataError: A sentence is too long for the base.
            Failed: Computing failed.
            LanguageError: Both languages are the same.
            LibraryError: A language is not served.
            Stopping: The service is being stopped.
        """
        if not 0 <= alternatives <= MOST_ALTERNATIVES:
            raise ConfigError(f"`alternatives` must be from 0 to {MOST_ALTERNATIVES}, but is {alternatives} instead.")
        while True:
            self._require_running()
            self._queue.check(texts, self._preparing)
            served = self._served
            try:
                return await self._answer(lambda: self._way(direction, via), texts, alternatives + 1)
            except AdapterError as error:
                if error.code != MISSING or not await self._take_out_removed(served):
                    raise

    def check(self) -> None:
        """Refuse now what would be refused of any request, even of the shortest text.

        Raises:
            Busy: The queue is full.
            Stopping: The service is being stopped.
        """
        self._queue.check(("",), self._preparing)

    def state(self) -> State:
        """Return what is served and done now."""
        served, worker = self._served, self._worker
        return State(
            languages=served.pointers,
            offered=served.offered,
            queue=len(self._queue),
            running=worker.running,
            bytes=self.library.shelf.usage().bytes,
            ready=self._proved.is_set() and worker.alive and worker.failure is None and not self._stopping,
            stopping=self._stopping,
            failure=worker.failure,
            broken=dict(served.broken),
            withdrawn=tuple(sorted(served.withdrawn)),
            answered=worker.answered,
        )

    async def install(self, language: str) -> dict[str, Any]:
        """Serve a language as it is on disk now: one that is new, or was updated.

        What the library has stored on how directions are made is read anew, of all languages, whether or not this one
        has changed.

        Both adapters are checked and a few words translated with them first; where that fails, what was served
        before still is.

        Args:
            language: The language's code.

        Returns:
            What was done: language, name, versions, the versions before, whether anything changed and will last.

        Raises:
            AdapterError: An adapter is damaged.
            Failed: Computing with it failed.
            LibraryError: The language isn't installed on disk.
        """
        async with self._changing:
            return await self._install(language)

    async def remove(self, language: str) -> dict[str, Any]:
        """Serve a language no more, from this moment on; requests that have begun end well.

        The library on disk keeps it, with a note that it is taken out, which holds until it is installed again.

        Args:
            language: The language's code.

        Returns:
            What was done, as `install` does; not ``lasting`` where the note could not be written.

        Raises:
            LibraryError: The language isn't served.
        """
        async with self._changing:
            served = self._served
            pointer = served.library.pointer(language)
            self._served = served.having(language, None)
            lasting = await self._load(lambda: parts.keep_withdrawn(self.library, language, out=True))
            return parts.report(language, None, pointer, lasting)

    async def rollback(self, language: str) -> dict[str, Any]:
        """Go back to what a language had before, on disk (see `Library.rollback`), and serve that.

        A few words are translated with it first: where that fails, the library is as it was, too.

        Args:
            language: The language's code.

        Returns:
            What was done, as `install` does.

        Raises:
            AdapterError: What it had before is damaged; it is served as it was.
            Failed: Computing with it failed; it is served as it was.
            LibraryError: The language isn't installed, or had nothing before.
            Stopping: The service is being stopped.
        """
        async with self._changing:
            self._require_running()
            proved = (await self._load(lambda: self.library.pointer(language))).earlier()
            wanted = None if proved is None else await self._prove(language, proved)
            pointer = await self._load(lambda: self.library.rollback(language))
            if wanted is None or pointer != proved:  # somebody else has changed it meanwhile
                return await self._install(language)
            return await self._serve(language, pointer, wanted)

    async def _take_out_removed(self, served: Served) -> bool:
        """Serve no more what was removed from the library, and say whether others than ``served`` are served now."""
        async with self._changing:
            self._require_running()
            self._served = await self._load(partial(parts.without_removed, self._served))
            return self._served is not served

    def _require_running(self) -> None:
        if self._stopping:
            raise Stopping()
        if self._worker.failure is not None:
            raise Failed("the service", self._worker.failure)

    async def _load(self, act: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._loaders, act)

    def _way(self, direction: Direction, via: str | None) -> Way:
        """Return the way of a direction as it is served now; a loader's thread may find it replaced meanwhile."""
        while True:
            served = self._served
            try:
                return served.way(direction, via)
            except AdapterError:
                if served is self._served:  # else the version may be gone with its language
                    parts.tell_damaged(served, direction)
                    raise

    async def _answer(self, find: Callable[[], Way], texts: Sequence[str], beams: int, canary: bool = False) -> Answer:
        """Find the way, split the texts, wait for their sentences and join them."""

        def prepare() -> Request:
            way = find()
            leg = way.legs[0]
            fits = fitting(leg.base, leg.direction)
            pieces.extend(split(text, way.direction.source, fits) for text in texts)
            sentences = [sentence for each in pieces for _, sentence in each.sentences()]
            return Request(way, sentences, beams, CANARY_TOKENS if canary else None)

        pieces: list[Pieces] = []
        self._preparing += len(texts)
        try:
            request = await self._load(prepare)
            if request.sentences:
                self._queue.put(request, first=canary)
            else:
                request.future.set_result([])
        finally:
            self._preparing -= len(texts)
        return parts.assemble(request.way, pieces, await asyncio.wrap_future(request.future))

    async def _install(self, language: str) -> dict[str, Any]:
        self._require_running()
        pointer = await self._load(lambda: self.library.pointer(language))
        # Also where it is served already: what failed is tried again, and what was stored since is taken up.
        wanted = await self._prove(language, pointer)
        await self._load(lambda: parts.tell_recipes(wanted.library))
        return await self._serve(language, pointer, wanted)

    async def _prove(self, language: str, pointer: Pointer) -> Served:
        """Return what is served with another version of a language, with which a few words were translated."""
        served = self._served
        wanted = await self._load(lambda: served.having(language, pointer))
        ways = [partial(wanted.way, direction, "direct") for direction in parts.canaries(language, wanted)]
        await asyncio.gather(*[self._answer(way, [CANARY], 1, canary=True) for way in ways])
        return wanted

    async def _serve(self, language: str, pointer: Pointer, wanted: Served) -> dict[str, Any]:
        before, self._served = self._served.pointers.get(language), wanted
        lasting = await self._load(lambda: parts.keep_withdrawn(self.library, language, out=False))
        return parts.report(language, pointer, before, lasting)
