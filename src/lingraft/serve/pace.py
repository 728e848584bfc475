"""How long sentences take: what their work is, and how much of it a full batch does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

BATCHES = 1.25
"""How many full batches a request may have to wait for.

Waiting adds the same to all, while a sentence itself may take three times the mean, since lengths differ so much. Less
would refuse some of twice as many clients as there are places, even where each sends one sentence after the other.
"""
_EACH = 16
"""Work of a sentence besides its bytes: even the shortest one is read and takes some steps."""
_SENTENCES = 64
"""Over how many sentences, about, the mean goes."""
_WINDOW = 1.0
"""Seconds over which work is counted."""


def work(text: str) -> int:
    """Return the work of translating a sentence, in bytes, which tell tokens better than characters do."""
    return _EACH + len(text.encode(errors="replace"))


class Pace:
    """What is known of sentences so far; whoever uses it sees to it that only one thread does."""

    def __init__(self, rows: int, patience: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet.

        Args:
            rows: How many sentences run at once.
            patience: Most seconds to wait for one's turn; None: `BATCHES`.
            clock: Tells seconds.
        """
        self._rows = rows
        self._patience = patience
        self._clock = clock
        self._seen = 0
        self._since: float | None = None
        self._done = 0
        self.mean = 0.0
        """The work of a sentence, lately."""
        self.rate: float | None = None
        """Work that a full batch does in a second; None: not known yet."""

    def come(self, works: Iterable[int]) -> None:
        """Take note of the work of sentences that were taken in."""
        for each in works:
            self._seen = min(self._seen + 1, _SENTENCES)
            self.mean += (each - self.mean) / self._seen

    def go(self, done: int, full: bool) -> None:
        """Take note of work that is done.

        Args:
            done: The work.
            full: Whether more sentences wait than there are places. What a batch does that is not full says little.
        """
        now = self._clock()
        if not full or self._since is None:
            self._since, self._done = now if full else None, 0
            return
        self._done += done
        if (elapsed := now - self._since) >= _WINDOW:
            rate = self._done / elapsed
            self.rate = rate if self.rate is None else 0.7 * self.rate + 0.3 * rate
            self._since, self._done = now, 0

    def excess(self, running: int, waiting: float, own: int) -> float:
        """Say whether a request would have to wait too long.

        With nothing ahead it would be over after (rows · mean + own) / rate seconds. It may wait for `BATCHES` times
        what the others take, and once more what it takes itself. The rate cancels out.

        Args:
            running: How many sentences run.
            waiting: Work that has its turn before the request is through.
            own: The work of the request itself.

        Returns:
            By how much the work ahead of it is too much; 0 or less: it may wait.
        """
        ahead = waiting + (running - self._rows) * self.mean  # what finds a free place waits for nothing
        if self._patience is None:
            return ahead - BATCHES * self._rows * self.mean - own
        return ahead - self._patience * self.rate if self.rate else 0.0

    def seconds(self, amount: float) -> float:
        """Return the seconds that some work takes, from 1 to 60, for whoever asks when to come back."""
        return min(60.0, max(1.0, amount / self.rate if self.rate else 0.0))
