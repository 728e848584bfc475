"""Stopping on a signal, all processes after the same step."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from lingraft.fit.parallel import Team


class Stop:
    """Notes SIGINT and SIGTERM, so that a step is finished and saved; a second one stops at once.

    Use as a context manager. In another thread than the main one nothing is noted.
    """

    def __init__(self, team: Team) -> None:
        """Note nothing yet."""
        self._team = team
        self._caught = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self) -> str | None:
        """Return the name of a signal that any of the processes has caught; all must ask after the same step."""
        number = self._team.highest(self._caught)
        return signal.Signals(number).name if number else None

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._caught:
            raise KeyboardInterrupt
        self._caught = number
