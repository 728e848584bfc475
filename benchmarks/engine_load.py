"""What mixing directions costs the engine, and what running rows together gains; without HTTP.

    python benchmarks/engine_load.py LIBRARY [--clients 64] [--sentences 256]

Closed loop: each client sends one sentence after the other. Three loads over the same sentences: all directions of
the library, one direction, and one client alone (over a quarter of them). Then a language is taken out and installed
again, to its first translation. Prints JSON: sentences per second, latencies in seconds, and the two ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from pathlib import Path

import torch

from lingraft.atoms import ENGLISH, Direction
from lingraft.base import load
from lingraft.library import Library
from lingraft.serve.engine import Engine

# fmt: off
WORDS = [
    "the", "small", "dog", "sees", "a", "big", "red", "house", "and", "drinks", "cold", "water", "in", "the", "town",
]
# fmt: on


async def ask(engine: Engine, jobs: list[tuple[str, Direction]], clients: int) -> dict[str, float]:
    waiting, took = iter(jobs), []

    async def client() -> None:
        for text, direction in waiting:
            begun = time.perf_counter()
            await engine.translate([text], direction)
            took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*[client() for _ in range(clients)])
    seconds = time.perf_counter() - begun
    took.sort()
    at = lambda share: round(took[min(len(took) - 1, int(share * len(took)))], 3)
    return {"per_second": round(len(jobs) / seconds, 2), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99)}


async def measure(library: Library, clients: int, count: int) -> dict[str, object]:
    engine = Engine(library, waiting=10 * clients, patience=1e6)
    engine.start()
    while not engine.state().ready:
        await asyncio.sleep(0.01)
    installed = library.languages()
    every = [Direction(*pair) for pair in itertools.permutations({*installed, ENGLISH}, 2)]
    texts = [" ".join(WORDS[i % 5 : i % 5 + 4 + i % 6]) for i in range(count)]
    mixed = [(text, every[i % len(every)]) for i, text in enumerate(texts)]
    one = [(text, every[0]) for text in texts]
    await ask(engine, mixed[: 2 * len(every)], clients)  # adapters are read
    found: dict[str, object] = {"directions": len(every), "clients": clients, "threads": torch.get_num_threads()}
    runs = {"mixed": await ask(engine, mixed, clients), "one": await ask(engine, one, clients)}
    runs["alone"] = await ask(engine, mixed[: count // 4], 1)
    language = installed[0]
    await engine.remove(language)
    begun = time.perf_counter()
    await engine.install(language)
    await engine.translate([texts[0]], Direction(language, ENGLISH))
    found |= {**runs, "install_s": round(time.perf_counter() - begun, 3)}
    found["mixed_to_one"] = round(runs["mixed"]["per_second"] / runs["one"]["per_second"], 2)
    found["together_to_alone"] = round(runs["mixed"]["per_second"] / runs["alone"]["per_second"], 2)
    await engine.stop()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--sentences", type=int, default=256)
    options = parser.parse_args()
    opened = Library.open(options.library, load(Library.open(options.library).card.base.id))
    print(json.dumps(asyncio.run(measure(opened, options.clients, options.sentences)), indent=2))
