"""A served library under load over HTTP: throughput, latencies, overload, and the end with requests in flight.

    python benchmarks/serve_load.py LIBRARY [--pairs 'DIR/{a}-{b}.tsv.gz'] [--seconds 30] [--clients 64] [--out FILE]

`lingraft serve` runs as a process of its own, the load comes from this one. Bounds and targets (PROMISES): over 32
directions ≥ 0.8 × of one direction and ≥ 3 × of one request at a time; at four times the capacity, open loop, the
accepted ones' p99 ≤ 2 × that at capacity, refusals in ≤ 50 ms, every request accounted for; on SIGTERM all that is in
flight is answered, and the process ends in ≤ 30 s. Prints JSON; sentences per second, times in seconds, memory in MB.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lingraft.atoms import ENGLISH
from lingraft.atoms.languages import parse
from lingraft.corpus import files

DIRECTIONS = 32
TEXTS = ["The dog sleeps.", "Where is the red house?", "I drink cold water in the town.", "She reads a book."]
"""Where there are no pairs: asked in all languages alike."""


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


Ask = dict[str, str]


class Load:
    """Sends requests and keeps what came of them."""

    def __init__(self, port: int, asks: list[Ask]) -> None:
        self._port = port
        self._asks = itertools.cycle(asks)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one(self, seen: Seen) -> None:
        """Send the next request."""
        begun = time.perf_counter()
        try:
            status = await self._post(next(self._asks))
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.statuses[type(error).__name__] += 1
            return
        seen.statuses[status] += 1
        (seen.took if status == "200" else seen.refused).append(time.perf_counter() - begun)

    async def _post(self, ask: Ask) -> str:
        """Send one request by hand and return its status; a client library would cost as much as the service."""
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
        return answer[9:12].decode()

    async def closed(self, clients: int, seconds: float) -> Seen:
        """Let each client send one request after the other."""
        seen, begun = Seen(), time.perf_counter()

        async def client() -> None:
            while time.perf_counter() - begun < seconds:
                await self.one(seen)

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


def asks(library: dict[str, Any], offered: list[str], pattern: str | None) -> list[list[Ask]]:
    """Return requests for each of some directions that need one pass: both languages have adapters, or none has."""
    own = [each["code"] for each in library["languages"] if each["versions"]]
    known = [code for code in offered if code not in own]
    pairs = [*itertools.permutations([*own, ENGLISH], 2), *itertools.permutations(known, 2)]
    chosen = list(dict.fromkeys(pairs))[:DIRECTIONS]
    return [[{"q": text, "source": a, "target": b} for text in texts(pattern, a, own[0])] for a, b in chosen]


def texts(pattern: str | None, language: str, other: str) -> list[str]:
    """Return sentences of a language, from the text that pairs it with English, or English with another language."""
    if pattern is None:
        return TEXTS
    pair = sorted((ENGLISH, other if language == ENGLISH else language))
    lines = files.lines(Path(pattern.replace("{a}", pair[0]).replace("{b}", pair[1])))[:200]
    return [line.split("\t")[pair.index(language)] for line in lines]


def memory(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return round(int(found[1]) / 1000, 1) if found else 0.0


async def started(client: httpx.AsyncClient) -> float:
    """Wait until the service is ready, and return the seconds."""
    begun = time.perf_counter()
    while True:
        try:
            if (await client.get("/health/ready")).status_code == 200:
                return time.perf_counter() - begun
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.02)


async def measure(client: httpx.AsyncClient, process: subprocess.Popen[bytes], given: Any) -> dict[str, Any]:
    """Go through all loads."""
    found: dict[str, Any] = {"start_s": round(await started(client), 2)}
    offered = [each["code"] for each in (await client.get("/languages")).json()]
    library = (await client.get("/api/library")).json()
    lists = asks(library, sorted(map(parse, offered)), given.pairs)
    mixed = [ask for together in zip(*map(itertools.cycle, lists), range(200), strict=False) for ask in together[:-1]]
    load = Load(given.port, mixed)
    await load.closed(given.clients, 3.0)  # adapters are read
    found["idle_mb"] = memory(process.pid)
    found |= {"directions": len(lists), "clients": given.clients, "seconds": given.seconds}
    runs: dict[str, list[Seen]] = {"mixed": [], "one": [], "alone": []}
    for turn in range(given.rounds):
        runs["mixed"].append(await load.closed(given.clients, given.seconds))
        one = lists[turn * len(lists) // given.rounds]  # another direction in each round: answers differ in length
        runs["one"].append(await Load(given.port, one).closed(given.clients, given.seconds))
        runs["alone"].append(await load.closed(1, given.seconds / 2))
    rates = {name: [each.summary()["per_second"] for each in seen] for name, seen in runs.items()}
    found |= {name: [each.summary() for each in seen] for name, seen in runs.items()}
    capacity = sum(rates["mixed"]) / given.rounds
    found["mixed_to_one"] = round(sum(rates["mixed"]) / sum(rates["one"]), 2)
    found["together_to_alone"] = round(sum(rates["mixed"]) / sum(rates["alone"]), 2)
    for times in (1, 4):
        seen, sent = await load.open(times * capacity, 2 * given.seconds)
        found[f"open_{times}x"] = {"sent": sent, "accounted": seen.statuses.total(), **seen.summary()}
        begun = time.perf_counter()
        await load.one(Seen())
        found[f"open_{times}x"]["next_s"] = round(time.perf_counter() - begun, 3)
    found["p99_4x_to_1x"] = round(found["open_4x"]["p99"] / found["open_1x"]["p99"], 2)
    found["end_mb"] = memory(process.pid)
    return found | {"sigterm": await end(load, process, given.flight)}


async def end(load: Load, process: subprocess.Popen[bytes], count: int) -> dict[str, Any]:
    """Stop the service with requests in flight, and see what becomes of them."""
    seen = Seen(seconds=1.0)
    sent = [asyncio.create_task(load.one(seen)) for _ in range(count)]
    while not seen.took:  # the first is answered, so all have come
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    begun = time.perf_counter()
    await asyncio.gather(*sent)
    answered = time.perf_counter() - begun
    code = await asyncio.to_thread(process.wait, 60)
    return {"statuses": dict(seen.statuses), "answered_s": round(answered, 2),
            "exit_s": round(time.perf_counter() - begun, 2), "code": code}  # fmt: skip


async def main(given: Any) -> None:
    """Start the service, measure, and print."""
    address = f"http://127.0.0.1:{given.port}"
    verb = [*given.python.split(), "-m", "lingraft", "serve", "--library", str(given.library)]
    with tempfile.TemporaryFile() as log:
        verb += ["--port", str(given.port), "--patience", str(given.patience), "rate=null"]
        process = subprocess.Popen(verb, stderr=log)
        limits = httpx.Limits(max_connections=None)
        try:
            async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:
                found = await measure(client, process, given)
        finally:
            process.kill()
    found |= {"patience": given.patience, "load_average": os.getloadavg(), "cores": len(os.sched_getaffinity(0))}
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--pairs", default=None, help="Where sentences come from, e.g. 'DIR/{a}-{b}.tsv.gz'.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--flight", type=int, default=200, help="Requests in flight at the end.")
    parser.add_argument("--patience", type=float, default=5.0, help="As of `lingraft serve`.")
    parser.add_argument("--python", default=sys.executable, help="Starts the service, e.g. 'taskset -c 1 python'.")
    parser.add_argument("--port", type=int, default=5099)
    parser.add_argument("--out", type=Path, default=None, help="Also write the JSON here.")
    asyncio.run(main(parser.parse_args()))
