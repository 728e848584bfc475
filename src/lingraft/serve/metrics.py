"""Numbers for Prometheus. Every label has few values, whatever clients send."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from lingraft.serve.answers import State

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one application, in a registry of its own."""

    def __init__(self, state: Callable[[], State]) -> None:
        """Make the counters.

        Args:
            state: Returns the state of the engine, asked at each scrape.
        """
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        to = self.registry
        self._requests = Counter(
            "lingraft_http_requests",
            "Requests by their route's pattern.",
            ("route", "method", "status"),
            registry=to,
        )
        self._seconds = Histogram(
            "lingraft_http_seconds",
            "Seconds from a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=to,
        )
        self._texts = Counter("lingraft_texts", "Texts translated, by the way they took.", ("via",), registry=to)
        self._characters = Counter(
            "lingraft_characters", "Characters translated, by target language.", ("target",), registry=to
        )
        numbers: Mapping[str, tuple[str, Callable[[State], float]]] = {
            "lingraft_queue_sentences": ("Sentences that wait.", lambda now: now.queue),
            "lingraft_running_sentences": ("Sentences being generated.", lambda now: now.running),
            "lingraft_adapter_bytes": ("Bytes of adapters in memory.", lambda now: now.bytes),
            "lingraft_languages": ("Installed languages being served.", lambda now: len(now.languages)),
            "lingraft_broken_languages": ("Languages on disk that cannot be served.", lambda now: len(now.broken)),
            "lingraft_ready": ("1: requests are taken.", lambda now: now.ready),
        }
        for name, (help_text, value) in numbers.items():
            Gauge(name, help_text, registry=to).set_function(functools.partial(_read, value, state))

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered; 499 says that its client had gone."""
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def translated(self, via: str, texts: int, target: str, characters: int) -> None:
        """Count texts; ``target`` is one of the languages on offer, so their number bounds the label."""
        self._texts.labels(via).inc(texts)
        self._characters.labels(target).inc(characters)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


def _read(value: Callable[[State], float], state: Callable[[], State]) -> float:
    return float(value(state()))
