"""The worker: the one thread that touches the model. Sentences of all requests run together in one stream."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from itertools import groupby

import torch

from lingraft.atoms import ENGLISH, DataError, Direction, LingraftError
from lingraft.base import Base
from lingraft.delta import Plan, Routing
from lingraft.direction.room import budget
from lingraft.direction.stream import Job, Stream
from lingraft.serve.answers import Failed, Stopping
from lingraft.serve.engine_beams import beams
from lingraft.serve.queue import Queue, Unit

log = logging.getLogger("lingraft.serve")
IDLE = 0.5
"""Seconds after which a worker without work looks around."""
CANARY = "This is a small test."
CANARY_TOKENS = 4
"""What is translated where nobody has asked: to see that something works."""


class Worker:
    """Takes sentences from the queue as places become free, and generates them until the queue is closed and empty.

    What fails hurts nobody else: the rows that ran are run again, one at a time, and the one that fails alone is
    refused, with its direction, until other versions are served.
    """

    def __init__(self, base: Base, queue: Queue, rows: int, max_tokens: int, ready: Callable[[], None]) -> None:
        """Prepare; nothing runs yet.

        Args:
            base: The base.
            queue: Where sentences wait.
            rows: Most sentences that run at once.
            max_tokens: The longest translation of a sentence, in tokens.
            ready: Called once, when the model has proved to work.
        """
        self.failure: str | None = None
        self.answered = 0
        self._base = base
        self._queue = queue
        self._rows = rows
        self._max_tokens = max_tokens
        self._ready = ready
        self._running: dict[Unit, None] = {}
        self._halt = False
        self._thread = threading.Thread(target=self._run, name="lingraft-worker", daemon=True)

    @property
    def running(self) -> int:
        """How many sentences run."""
        return len(self._running)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def halt(self) -> None:
        """End after this step, whoever waits."""
        self._halt = True
        self._queue.close()

    def join(self, seconds: float) -> bool:
        """Wait for the end of the thread, and say whether it came in time."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self.alive

    def _run(self) -> None:
        error: LingraftError = Stopping()
        try:
            with torch.no_grad(), Routing(self._base) as self._routing:
                self._stream = Stream(self._base, self._routing)
                self._probe()
                self._ready()
                while not self._halt and not (self._queue.closed and not len(self._queue) and not self._running):
                    self._once()
        except Exception as cause:
            log.critical("the worker stopped: %s", _place(cause))
            self.failure = f"the worker stopped: {type(cause).__name__}"
            error = Failed("the service", type(cause).__name__)
        finally:
            self._queue.close()
            for unit in self._running:
                unit.request.fail(error)
            for request in self._queue.requests():
                request.fail(error)
            self._running.clear()

    def _once(self) -> None:
        """Let finished and cancelled rows go, waiting ones in, and all of them one token on."""
        if gone := [unit for unit in self._running if unit.request.future.done()]:
            self._stream.drop(gone)
            for unit in gone:
                del self._running[unit]
        free, waiting = self._rows - len(self._running), len(self._queue)
        # Reading a few sentences costs nearly as much as reading many: where more wait than there is room for, the
        # next ones come in together.
        if waiting and (waiting <= free or 8 * free >= self._rows):
            self._begin(self._queue.take(free, empty=not self._running))
        self._queue.running = len(self._running)
        if self._running:
            self._guarded(self._step)
        elif not len(self._queue):
            self._routing.use(Plan(self._base, ()))  # the adapters of the last batch may go
            if not self._queue.wait(IDLE):
                self._stream = Stream(self._base, self._routing)  # and so may its cache

    def _begin(self, units: Sequence[Unit]) -> None:
        """Let units join the running rows."""
        units = [unit for unit in units if not unit.request.future.done()]
        jobs = [job for _, group in groupby(units, key=lambda unit: id(unit.where)) for job in self._jobs(list(group))]
        greedy = [job for unit, job in jobs if unit.beams == 1]
        self._running |= {unit: None for unit, job in jobs if unit.beams == 1}
        if greedy:
            self._guarded(lambda: self._stream.add(greedy))
        for unit, job in jobs:
            if unit.beams > 1:
                self._beams(unit, job)

    def _jobs(self, units: Sequence[Unit]) -> list[tuple[Unit, Job]]:
        """Return the jobs of units of one leg; those that can't be run fail here."""
        leg = units[0].where
        if reason := units[0].request.way.failed.get(units[0].request.way.direction):
            return self._refuse(units, Failed(str(leg.direction), reason))
        try:
            rows = leg.base.format.encode(leg.direction, [unit.text for unit in units])
        except Exception as error:
            log.warning("encoding for %s failed: %s", leg.direction, _place(error))
            return self._refuse(units, Failed(str(leg.direction), type(error).__name__))
        found = []
        for unit, row in zip(units, rows, strict=True):
            try:
                most = budget(self._base, row, min(self._max_tokens, unit.request.most or self._max_tokens))
            except DataError as error:  # of a second leg: what the first one said
                unit.request.fail(error)
            else:
                found.append((unit, Job(unit, row, leg.route, most)))
        return found

    @staticmethod
    def _refuse(units: Sequence[Unit], error: LingraftError) -> list[tuple[Unit, Job]]:
        for unit in units:
            unit.request.fail(error)
        return []

    def _step(self) -> None:
        """Generate one token of every running row."""
        for key, text in self._stream.step():
            assert isinstance(key, Unit)
            del self._running[key]
            self._ended(key, [text])

    def _ended(self, unit: Unit, texts: list[str]) -> None:
        """Hand on what was generated: to the next leg, or to who asked."""
        self._queue.done(unit)
        if unit.last or not texts[0].strip():
            self.answered += 1
            unit.request.finish(unit.index, texts)
        else:
            self._queue.give_back([Unit(unit.request, unit.index, texts[0], unit.leg + 1)])

    def _beams(self, unit: Unit, job: Job) -> None:
        """Generate several translations of one sentence, between two steps of the others."""
        try:
            texts = beams(self._base, self._routing, job, unit.beams)
        except Exception as error:
            self._blame(unit, error)
        else:
            self._ended(unit, texts)

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something with the stream; where that fails, find out by whose fault."""
        try:
            act()
        except Exception as error:
            log.warning("%d rows failed together: %s", len(self._running), _place(error))
            units = list(self._running)
            self._running.clear()
            self._stream = Stream(self._base, self._routing)
            if len(units) == 1:
                self._blame(units[0], error)
                return
            for unit in units:
                unit.suspect = True
            self._queue.give_back(units)

    def _blame(self, unit: Unit, error: Exception) -> None:
        """Refuse a unit that failed alone, and its direction; where even the base alone fails, the worker must end."""
        way, why = unit.request.way, type(error).__name__
        log.error("%s failed alone: %s", way.direction, _place(error))
        if not isinstance(error, MemoryError | torch.OutOfMemoryError):
            way.failed[way.direction] = why
        unit.request.fail(Failed(str(way.direction), why))
        self._probe()

    def _probe(self) -> None:
        """Translate a few words by the base alone; raises where even that fails."""
        direction = Direction(ENGLISH, next((code for code in self._base.languages if code != ENGLISH), ENGLISH))
        row = self._base.format.encode(direction, [CANARY])[0]
        stream = Stream(self._base, self._routing)
        stream.add([Job("canary", row, (), 2)])
        while len(stream):
            stream.step()


def _place(error: BaseException) -> str:
    """Return the kind of an error and where it arose; its message may hold what a user wrote."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}, line {last.lineno}"
