"""Requests to a service over HTTP, and what comes of them; the load of `serve_load.py`."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Ask = dict[str, str]


@dataclass
class Seen:
    """What came of some requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Return counts, rate and percentiles."""
        done = {"per_second": round(len(self.took) / self.seconds, 2), **_percentiles(self.took)}
        refused = {"refused": _percentiles(self.refused)} if self.refused else {}
        return {"statuses": dict(self.statuses), **done, **refused}


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4)
    return {f"p{round(100 * share)}": at(share) for share in (0.5, 0.95, 0.99)} if ordered else {}


class Load:
    """Sends requests and keeps what came of them."""

    answered = 0
    """By all loads of this process."""

    def __init__(self, port: int, asks: list[Ask]) -> None:
        self._port = port
        self._asks = itertools.cycle(asks)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one(self, seen: Seen) -> float:
        """Send the next request; return the seconds after which the service wants to be asked again."""
        begun, ask = time.perf_counter(), next(self._asks)
        try:
            try:
                status, wait = await self._post(ask)
            except ConnectionResetError:  # the service closed an idle connection in this very moment
                self._idle.clear()
                status, wait = await self._post(ask)
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.statuses[type(error).__name__] += 1
            return 0.0
        seen.statuses[status] += 1
        Load.answered += status == "200"
        (seen.took if status == "200" else seen.refused).append(time.perf_counter() - begun)
        return wait

    async def _post(self, ask: Ask) -> tuple[str, float]:
        """Send one request by hand; a client library would cost as much as the service.

        Returns:
            The status, and the seconds of `Retry-After`, 0 where there is none.
        """
        body = json.dumps(ask).encode()
        head = f"POST /translate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        while self._idle and self._idle[-1][0].at_eof():  # the service has closed it meanwhile
            self._idle.pop()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"{head}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", answer)
        assert length is not None
        await reader.readexactly(int(length[1]))
        if b"connection: close" in answer:
            writer.close()
        else:
            self._idle.append((reader, writer))
        later = re.search(rb"retry-after: (\d+)", answer)
        return answer[9:12].decode(), float(later[1]) if later else 0.0

    async def closed(self, clients: int, seconds: float) -> Seen:
        """Let each client send one request after the other, and wait as long as it is told where one is refused."""
        seen, begun = Seen(), time.perf_counter()

        async def client() -> None:
            while time.perf_counter() - begun < seconds:
                wait = await self.one(seen)
                await asyncio.sleep(max(0.0, min(wait, begun + seconds - time.perf_counter())))

        await asyncio.gather(*[client() for _ in range(clients)])
        seen.seconds = time.perf_counter() - begun
        return seen

    async def open(self, rate: float, seconds: float) -> tuple[Seen, int]:
        """Send requests at a rate, whatever becomes of them; return what came, and how many were sent."""
        seen, begun, sent = Seen(), time.perf_counter(), []
        while (now := time.perf_counter() - begun) < seconds:
            while len(sent) < rate * now:
                sent.append(asyncio.create_task(self.one(seen)))
            await asyncio.sleep(0.005)
        await asyncio.gather(*sent)
        seen.seconds = seconds
        return seen, len(sent)
