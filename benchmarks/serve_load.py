"""A served library under load over HTTP: throughput, latencies, overload, memory, and the end with requests in flight.

    python benchmarks/serve_load.py LIBRARY [--pairs 'DIR/{a}-{b}.tsv.gz'] [--seconds 30] [--clients 64] [--out FILE]

`lingraft serve` runs as a process of its own, the load comes from this one. Memory is looked at once a second. A second
service, which lets everyone wait, takes a language out and in again and is then stopped with requests in flight.
Bounds and targets (PROMISES): over 32 directions ≥ 0.8 × of one direction and ≥ 3 × of one request at a time; at four
times the capacity, open loop, the accepted ones' p99 ≤ 2 × that at capacity, refusals in ≤ 50 ms, every request
accounted for; on SIGTERM all that is in flight is answered, and the process ends in ≤ 30 s; a language that lies in the
library is there in ≤ 1 s. Prints JSON; sentences per second, times in seconds, memory in MB.
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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from http_load import Ask, Load, Seen

from lingraft.atoms import ENGLISH
from lingraft.atoms.languages import parse
from lingraft.corpus import files
from lingraft.serve.keys import make_key

DIRECTIONS = 32
TEXTS = ["The dog sleeps.", "Where is the red house?", "I drink cold water in the town.", "She reads a book."]
"""Where there are no pairs of a language: asked in all alike."""


def asks(library: dict[str, Any], offered: list[str], pattern: str | None) -> list[list[Ask]]:
    """Return requests for each of some directions that need one pass: both languages have adapters, or none has."""
    own = [each["code"] for each in library["languages"] if each["versions"]]
    known = [code for code in offered if code not in own]
    pairs = [*itertools.permutations([*own, ENGLISH], 2), *itertools.permutations(known, 2)]
    chosen = list(dict.fromkeys(pairs))[:DIRECTIONS]
    return [[{"q": text, "source": a, "target": b} for text in texts(pattern, a, own[0])] for a, b in chosen]


def texts(pattern: str | None, language: str, other: str) -> list[str]:
    """Return sentences of a language, from the text that pairs it with English, or English with another language."""
    pair = sorted((ENGLISH, other if language == ENGLISH else language))
    path = Path((pattern or "").replace("{a}", pair[0]).replace("{b}", pair[1]))
    if not path.is_file():
        return TEXTS
    lines = files.lines(path)[:200]
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
    found: dict[str, Any] = {"start_s": round(await started(client), 2), "ready_mb": memory(process.pid)}
    offered = [each["code"] for each in (await client.get("/languages")).json()]
    library = (await client.get("/api/library")).json()
    lists = asks(library, sorted(map(parse, offered)), given.pairs)
    mixed = [ask for together in zip(*map(itertools.cycle, lists), range(200), strict=False) for ask in together[:-1]]
    load = Load(given.port, mixed)
    await load.closed(1, 3.0)
    found["idle_mb"] = memory(process.pid)
    samples: list[tuple[int, float]] = []
    watching = asyncio.create_task(watch(process.pid, samples))
    await load.closed(given.clients, 3.0)  # adapters are read
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
    watching.cancel()
    await asyncio.sleep(2)
    found["answered_mb"] = [samples[i * (len(samples) - 1) // 20] for i in range(21)]
    return found | {"end_mb": memory(process.pid)}


async def watch(pid: int, samples: list[tuple[int, float]]) -> None:
    """Note once a second how many requests were answered so far, and the memory."""
    while True:
        samples.append((Load.answered, memory(pid)))
        await asyncio.sleep(1)


async def change(client: httpx.AsyncClient, key: str) -> float:
    """Take a language out and in again, and return the seconds from asking for it to its first translation."""
    languages = (await client.get("/api/library")).json()["languages"]
    language = next(each["code"] for each in languages if each["versions"])
    admin = {"authorization": f"Bearer {key}"}
    (await client.delete(f"/admin/languages/{language}", headers=admin)).raise_for_status()
    begun = time.perf_counter()
    (await client.post(f"/admin/languages/{language}", headers=admin)).raise_for_status()
    ask = {"q": TEXTS[0], "source": language, "target": ENGLISH}
    (await client.post("/translate", json=ask)).raise_for_status()
    return time.perf_counter() - begun


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


@asynccontextmanager
async def service(given: Any, *more: str) -> AsyncIterator[tuple[httpx.AsyncClient, subprocess.Popen[bytes]]]:
    """Run the verb with a client for it."""
    verb = [*given.python.split(), "-m", "lingraft", "serve", "--library", str(given.library)]
    verb += ["--port", str(given.port), *more, "rate=null"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(verb, stderr=log)
        limits = httpx.Limits(max_connections=None)
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{given.port}", timeout=120, limits=limits
            ) as client:
                yield client, process
        finally:
            process.kill()


async def main(given: Any) -> None:
    """Start the services, measure, and print."""
    async with service(given, *(["--patience", str(given.patience)] if given.patience else [])) as (client, process):
        found = await measure(client, process, given)
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        key, stored = make_key("load")
        keys.write_text(f"{stored.line}\n")
        keys.chmod(0o600)
        async with service(given, "--patience", "600", "--admin-keys", str(keys)) as (client, process):
            await started(client)
            found["install_s"] = round(await change(client, key), 3)
            offered = [parse(each["code"]) for each in (await client.get("/languages")).json()]
            lists = asks((await client.get("/api/library")).json(), sorted(offered), given.pairs)
            load = Load(given.port, [ask for together in zip(*lists, strict=False) for ask in together])
            found["sigterm"] = await end(load, process, given.flight)
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
    parser.add_argument("--patience", type=float, default=None, help="As of `lingraft serve`.")
    parser.add_argument("--python", default=sys.executable, help="Starts the service, e.g. 'taskset -c 1 python'.")
    parser.add_argument("--port", type=int, default=5099)
    parser.add_argument("--out", type=Path, default=None, help="Also write the JSON here.")
    asyncio.run(main(parser.parse_args()))
