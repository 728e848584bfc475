"""How much each client may ask for: requests a minute, characters in all, and the size of one request."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lingraft.serve.refusals import Refused
from lingraft.serve.settings import ServeSettings

CLIENTS = 20_000
"""Clients that are remembered; of more, the one that was silent for the longest is forgotten."""


@dataclass
class _Account:
    """What one client has left, and has had."""

    tokens: float
    """Requests that may come at once now."""
    at: float
    """When that was so, in seconds of the clock."""
    characters: int = 0


class Limits:
    """The limits of all clients; any thread may ask."""

    def __init__(self, settings: ServeSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the limits.

        Args:
            settings: The limits.
            clock: Returns seconds.
        """
        self.settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def request(self, client: str) -> None:
        """Count a request (a token bucket: `burst` tokens, filled by `rate` a minute).

        Args:
            client: Whose request it is.

        Raises:
            Refused: It comes too early.
        """
        if self.settings.rate is None:
            return
        rate = self.settings.rate / 60  # a second
        with self._lock:
            account = self._account(client)
            now = self._clock()
            account.tokens = min(float(self.settings.burst), account.tokens + (now - account.at) * rate)
            account.at = now
            if account.tokens >= 1:
                account.tokens -= 1
                return
            wait = (1 - account.tokens) / rate
        raise Refused(
            429,
            f"requests must be at most {self.settings.rate:g} a minute, but come faster. "
            f"Try again in {max(1, math.ceil(wait))} s.",
            code="rate",
            retry_after=wait,
        )

    def check_texts(self, texts: Sequence[str]) -> int:
        """Return the number of characters of a request.

        Args:
            texts: The texts of the request.

        Returns:
            How many there are in all texts together.

        Raises:
            Refused: There are too many texts or characters.
        """
        if len(texts) > self.settings.texts:
            raise Refused(
                413, f"a request must have at most {self.settings.texts} texts, but has {len(texts)}.", code="texts"
            )
        characters = sum(map(len, texts))
        if characters > self.settings.characters:
            raise Refused(
                413,
                f"a request must have at most {self.settings.characters} characters, but has {characters}. "
                "Send it in parts.",
                code="characters",
            )
        return characters

    def charge(self, client: str, characters: int) -> None:
        """Count characters that are to be translated.

        Args:
            client: Who asks.
            characters: How many.

        Raises:
            Refused: The client has had its quota. DeepL's status for that is 456.
        """
        with self._lock:
            account = self._account(client)
            if self.settings.quota is not None and account.characters + characters > self.settings.quota:
                raise Refused(
                    456,
                    f"characters must be at most {self.settings.quota} for one client, but {account.characters} are "
                    "used. Ask the operator for more.",
                    code="quota",
                )
            account.characters += characters

    def used(self, client: str) -> int:
        """Return how many characters a client has asked for."""
        with self._lock:
            found = self._accounts.get(client)
            return found.characters if found else 0

    def _account(self, client: str) -> _Account:
        account = self._accounts.get(client)
        if account is None:
            account = self._accounts[client] = _Account(float(self.settings.burst), self._clock())
            if len(self._accounts) > CLIENTS:
                self._accounts.popitem(last=False)
        self._accounts.move_to_end(client)
        return account
