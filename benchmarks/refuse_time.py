r"""What it costs to refuse a request while the queue is full: before its body is read, or where it would be put.

Processor time of the application alone, by ASGI calls in one process, without uvicorn's parsing; the engine is one that
is always full. The peer is the later refusal, which every request had before.

    python benchmarks/refuse_time.py [--rounds 7] [--json OUT.json]
"""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any

import torch
from peers import alternate, parser, ratio, write

from lingraft.serve.answers import Answer, Busy, State
from lingraft.serve.app import create_app
from lingraft.serve.detect import Detector
from lingraft.serve.settings import ServeSettings

REQUESTS = 500
BODY = json.dumps({"q": "Das ist ein Satz, der nicht sehr lang ist.", "source": "de", "target": "fr"}).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


class Full:
    """An engine whose queue is full, and that says so early or late."""

    library: Any = SimpleNamespace(path=".", card=None)
    early = True

    def check(self) -> None:
        """Refuse, where it is early."""
        if self.early:
            raise Busy(2.0, 500)

    async def translate(self, *args: Any, **options: Any) -> Answer:
        """Refuse."""
        raise Busy(2.0, 500)

    def state(self) -> State:
        """Return a state in which two languages are offered."""
        return State({}, ("deu_Latn", "fra_Latn"), 500, 32, 0, True, False, None, {}, 0, ())


async def refused(app: Any) -> None:
    """Send one request, and see that it is refused."""
    given, status = False, 0

    async def receive() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            await asyncio.sleep(3600)
        given = True
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/translate", "raw_path": b"/translate",
        "query_string": b"", "headers": HEADERS, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "scheme": "http", "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    assert status == 503, status


def main() -> None:
    options = parser(__doc__).parse_args()
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)  # then turns are counted in processor time
    engine, loop = Full(), asyncio.new_event_loop()
    app = create_app(engine, ServeSettings(rate=None), Detector())  # type: ignore[arg-type]

    async def turn(early: bool) -> None:
        engine.early = early
        for _ in range(REQUESTS):
            await refused(app)

    ways = {name: lambda early=name == "early": loop.run_until_complete(turn(early)) for name in ("early", "late")}
    times = alternate(ways, options.rounds)
    loop.close()
    for name, each in times.items():
        print(f"{name:6} {1e3 * statistics.median(each) / REQUESTS:.3f} ms")
    cheaper = ratio(times, "late", "early")
    print(f"early is {cheaper:.1f} x cheaper")
    seconds = {name: [turns / REQUESTS for turns in each] for name, each in times.items()}
    write(options, {"seconds": seconds, "cheaper": cheaper})


if __name__ == "__main__":
    main()
