"""What waits for the model: sentences of requests, served fairly, and never more than there is room for."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from lingraft.serve.answers import Busy, Stopping
from lingraft.serve.pace import Pace, work
from lingraft.serve.versions import Leg, Way

Done = list[list[str]]
"""For each sentence of a request its translations, the likeliest first."""


@dataclass(eq=False)
class Request:
    """Sentences that are translated the same way, with the same versions of all adapters."""

    way: Way
    sentences: Sequence[str]
    beams: int = 1
    """How many translations of each sentence are wanted; 1: one, greedily."""
    most: int | None = None
    """The most tokens of a translation; None: as the worker says."""
    future: Future[Done] = field(default_factory=Future)
    """Done when all sentences are; whoever waits for it may cancel it at any time."""
    done: dict[int, list[str]] = field(default_factory=dict)

    def finish(self, index: int, texts: list[str]) -> None:
        """Take the translations of one sentence. For the worker alone, as `fail` is."""
        self.done[index] = texts
        if len(self.done) == len(self.sentences) and self._settle():
            self.future.set_result([self.done[i] for i in range(len(self.sentences))])

    def fail(self, error: Exception) -> None:
        """End without an answer, unless it has ended already."""
        if self._settle():
            self.future.set_exception(error)

    def _settle(self) -> bool:
        """Say whether the future is still open; from then on it can't be cancelled any more."""
        return not self.future.done() and self.future.set_running_or_notify_cancel()


@dataclass(eq=False)
class Unit:
    """One sentence on one leg of its way: what is generated as one row."""

    request: Request
    index: int
    text: str
    leg: int = 0
    suspect: bool = False
    """Whether it ran while the model failed. It runs alone then, so that it can harm no other."""

    @property
    def where(self) -> Leg:
        """The leg that it is on."""
        return self.request.way.legs[self.leg]

    @property
    def last(self) -> bool:
        """Whether its answer is the request's."""
        return self.leg + 1 == len(self.request.way.legs)

    @property
    def beams(self) -> int:
        """How many translations are wanted of it on this leg."""
        return self.request.beams if self.last else 1

    @cached_property
    def work(self) -> int:
        """What it takes on this leg."""
        return work(self.text) * self.beams

    @cached_property
    def left(self) -> int:
        """What it takes on this leg and the ones after it."""
        return self.work + work(self.text) * (0 if self.last else self.request.beams)


class Queue:
    """A bounded queue of sentences; requests take turns, so a long one does not hold up a short one.

    Any thread may put; one thread, the worker, takes.
    """

    def __init__(self, room: int, pace: Pace) -> None:
        """Hold nothing yet.

        Args:
            room: Most sentences that wait. A request that comes when none waits is taken whatever its length.
            pace: Foresees who would have to wait too long.
        """
        self.room = room
        self.pace = pace
        self.running = 0
        """How many sentences run, as the worker says."""
        self._change = threading.Condition()
        self._waiting: OrderedDict[Request, deque[Unit]] = OrderedDict()  # whose turn is next stands first
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        return self._count

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken in."""
        return self._closed

    def check(self, texts: Sequence[str], coming: int = 0) -> None:
        """Refuse what could not be put now.

        Args:
            texts: The texts of the request; each has at least one sentence.
            coming: Those of requests that are let in and not put yet; they are counted as if they waited.

        Raises:
            Busy: There is no room, or the wait would be too long.
            Stopping: The queue is closed.
        """
        with self._change:
            self._check(len(texts), sum(map(work, texts)), coming)

    def put(self, request: Request, *, first: bool = False) -> None:
        """Let a request wait for its turn.

        Args:
            request: The request, with at least one sentence.
            first: Whether it is the next one, and is taken even where there is no room.

        Raises:
            Busy: There is no room, or the wait would be too long.
            Stopping: The queue is closed.
        """
        units = deque(Unit(request, i, text) for i, text in enumerate(request.sentences))
        with self._change:
            if first and self._closed:
                raise Stopping()
            if not first:
                self._check(len(units), sum(unit.left for unit in units))
            self.pace.come(unit.left for unit in units)
            self._waiting[request] = units
            self._waiting.move_to_end(request, last=not first)
            self._count += len(units)
            self._change.notify_all()
        # No cycle of references: what a request holds, its adapters among it, must go as soon as it is over.
        known = weakref.ref(request)
        request.future.add_done_callback(lambda _: self._forget(known()))

    def take(self, most: int, empty: bool) -> list[Unit]:
        """Return what is to run next, at most one sentence of each request in turn.

        Args:
            most: How many may begin.
            empty: Whether nothing runs: only then a suspect can begin.

        Returns:
            Units that are in the queue no more; a suspect, or one that wants several translations, is the only one.
        """
        taken: list[Unit] = []
        with self._change:
            while len(taken) < most and self._waiting:
                request, units = next(iter(self._waiting.items()))
                single = units[0].suspect or units[0].beams > 1
                if (single and taken) or (units[0].suspect and not empty):
                    break
                taken.append(units.popleft())
                self._count -= 1
                if units:
                    self._waiting.move_to_end(request)
                else:
                    del self._waiting[request]
                if single:
                    break
        return taken

    def give_back(self, units: Iterable[Unit]) -> None:
        """Put units that were taken before everything else; there is always room for them."""
        with self._change:
            for unit in units:
                if unit.request.future.done():
                    continue
                self._waiting.setdefault(unit.request, deque()).appendleft(unit)
                self._waiting.move_to_end(unit.request, last=False)
                self._count += 1
            self._change.notify_all()

    def done(self, unit: Unit) -> None:
        """Take note of what the worker has done."""
        with self._change:
            self.pace.go(unit.work, full=self._count > 0)

    def wait(self, seconds: float) -> bool:
        """Wait until something is there or the queue is closed, but not longer than some seconds.

        Args:
            seconds: The most seconds.

        Returns:
            Whether either is so.
        """
        with self._change:
            return self._change.wait_for(lambda: self._count > 0 or self._closed, seconds)

    def close(self) -> None:
        """Take in nothing more; what waits stays."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def requests(self) -> list[Request]:
        """Return the requests that have sentences waiting."""
        with self._change:
            return list(self._waiting)

    def _check(self, sentences: int, own: int, coming: int = 0) -> None:
        if self._closed:
            raise Stopping()
        if not (waiting := self._count + coming):
            return
        # In turns, a request waits for no more sentences of another than it has itself.
        turns = max(1, sentences)
        ahead = coming * self.pace.mean
        ahead += sum(unit.left for units in self._waiting.values() for unit in islice(units, turns))
        excess = self.pace.excess(self.running, ahead, own)
        if waiting + sentences > self.room or excess > 0:
            raise Busy(self.pace.seconds(max(excess, ahead / 2)), waiting)

    def _forget(self, request: Request | None) -> None:
        if request is not None:
            with self._change:
                self._count -= len(self._waiting.pop(request, ()))
