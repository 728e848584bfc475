"""What the engine gives back: answers, its state, and its refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lingraft.atoms import LingraftError
from lingraft.library.manifest import Pointer

DIRECT, PIVOT, BASE = "direct", "pivot", "base"
"""How an answer came about: with the adapters of its two sides at once, through English in two passes, or by the base
alone, since neither side has an adapter."""


@dataclass(frozen=True)
class Answer:
    """The translations of one request."""

    texts: tuple[str, ...]
    """One for each text of the request, in order."""
    alternatives: tuple[tuple[str, ...], ...]
    """For each text the other translations that were asked for, the likeliest first."""
    versions: Mapping[str, str]
    """What it was computed with: adapter (``deu_Latn.source``) → content hash, the same for all its sentences."""
    via: str
    """``direct``, ``pivot`` or ``base``."""


@dataclass(frozen=True)
class State:
    """What the engine serves and does at one moment."""

    languages: Mapping[str, Pointer]
    """The installed languages being served, with their versions."""
    offered: tuple[str, ...]
    """All languages that can be asked for: the installed ones, English, and those the base knows."""
    queue: int
    """Sentences that wait."""
    running: int
    """Sentences being generated."""
    bytes: int
    """Of the adapters in memory."""
    ready: bool
    """Whether requests are taken and the worker lives."""
    stopping: bool
    failure: str | None
    """Why the engine can't work any more; None: it can."""
    broken: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Languages on disk that can't be served, or not in all directions, and why."""
    answered: int = 0
    """Sentences answered since the start."""
    withdrawn: tuple[str, ...] = ()
    """Languages on disk that are not served, since an operator has taken them out."""


class Busy(LingraftError):  # noqa: N818 - it is no error of anyone's
    """The queue is full."""

    code = "busy"

    def __init__(self, retry_after: float, waiting: int) -> None:
        """Say when to try again.

        Args:
            retry_after: Seconds.
            waiting: Sentences that wait now.
        """
        super().__init__(
            f"the queue must have room, but {waiting} sentences wait already. "
            f"Try again in {math.ceil(retry_after)} s, or send fewer at once."
        )
        self.retry_after = retry_after


class Stopping(LingraftError):  # noqa: N818
    """The engine takes no more work."""

    code = "stopping"

    def __init__(self) -> None:
        """Say so."""
        super().__init__("the service must be running to translate, but is stopping. Try again later.")


class Failed(LingraftError):  # noqa: N818
    """Computing a translation failed; others are not concerned."""

    code = "failed"

    def __init__(self, what: str, why: str) -> None:
        """Say what failed.

        Args:
            what: The direction or the language.
            why: The error.
        """
        super().__init__(f"`{what}` must be translatable, but computing it failed: {why}. Tell the operator.")
