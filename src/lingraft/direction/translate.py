"""Translate texts with the routes of their directions, many directions in one batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby, islice
from typing import cast

from lingraft.atoms import ConfigError, Direction
from lingraft.base import Base, Encoded
from lingraft.delta import Route, Routing
from lingraft.direction.compose import Composition
from lingraft.direction.decoder import most_rows
from lingraft.direction.generate import generate
from lingraft.direction.replay import recorder
from lingraft.direction.room import MOST, budget, fitting
from lingraft.direction.sentences import join, split
from lingraft.direction.stream import Job, Stream, fill

RoutesOf = Callable[[Direction], Route]
_Place = tuple[int, int]  # the number of a text, and of a sentence in it
_Asked = tuple[Direction, str, _Place]
_BEAMS = 64
"""Sentences of a batch with beams."""
_TOGETHER = 16
"""Up to this number of directions are mixed in one batch, and their adapters held."""


class Translator:
    """Translates on a base with attached routes. Made by ``attach``."""

    def __init__(
        self, base: Base, routing: Routing, routes: RoutesOf, direction: Direction | None, replay: bool = False
    ) -> None:
        """Bind the parts; ``direction`` is the one used where a call names none."""
        self.base = base
        self.direction = direction
        self._routing = routing
        self._routes = routes
        self._record = recorder(base) if replay else None

    def translate(
        self,
        texts: Sequence[str],
        direction: Direction | Sequence[Direction] | None = None,
        *,
        beam: int = 1,
        batch_size: int | None = None,
        max_tokens: int = MOST,
        progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """Translate ``texts``; long ones are split into sentences and put together again.

        Args:
            texts: The source texts; line breaks and blank lines are kept.
            direction: One direction for all, or one for each text.
            beam: Width of the beam; 1 is greedy.
            batch_size: Sentences per batch; a batch may mix directions. None: greedily as many as the memory for their
                cache allows, see ``most_rows``, and 64 with beams.
            max_tokens: The longest translation of one sentence, in tokens.
            progress: Called with the number of texts that became ready.

        Returns:
            One translation for each text, in order.

        Raises:
            ConfigError: If no direction is given, their number differs, a number is below 1, or ``texts`` is one text.
            DataError: If the base's context has no room for a sentence of a few letters.
        """
        if isinstance(texts, str):
            raise ConfigError(f"`texts` must be a list of texts, but is one text instead: {texts!r:.40}. Give [text].")
        directions = self._directions(texts, direction)
        for name, value in (("beam", beam), ("batch_size", batch_size), ("max_tokens", max_tokens)):
            if value is not None and value < 1:
                raise ConfigError(f"`{name}` must be at least 1, but is {value} instead.")
        fits = {where: fitting(self.base, where) for where in set(directions)}
        pieces = [split(text, where.source, fits[where]) for text, where in zip(texts, directions, strict=True)]
        asked = [
            (where, sentence, (index, position))
            for index, (where, parts) in enumerate(zip(directions, pieces, strict=True))
            for position, sentence in parts.sentences()
        ]
        done: list[dict[int, str]] = [{} for _ in texts]
        left = [len(list(parts.sentences())) for parts in pieces]
        if progress is not None and (blank := left.count(0)):
            progress(blank)
        for place, answer in self._answers(asked, beam, batch_size, max_tokens):
            index, position = cast(_Place, place)
            done[index][position] = answer
            left[index] -= 1
            if progress is not None and left[index] == 0:
                progress(1)
        return [
            join(parts, answers, where.target) for parts, answers, where in zip(pieces, done, directions, strict=True)
        ]

    def _directions(
        self, texts: Sequence[str], direction: Direction | Sequence[Direction] | None
    ) -> Sequence[Direction]:
        direction = self.direction if direction is None else direction
        if direction is None:
            raise ConfigError("`direction` must be given, since this translator has several.")
        if isinstance(direction, Direction):
            return [direction] * len(texts)
        if len(direction) != len(texts):
            raise ConfigError(f"`direction` must name one for each of {len(texts)} texts, but names {len(direction)}.")
        return direction

    def _answers(
        self, asked: Sequence[_Asked], beam: int, batch_size: int | None, max_tokens: int
    ) -> Iterator[tuple[Hashable, str]]:
        """Yield each sentence's answer as it ends."""
        jobs = self._jobs(asked, max_tokens)
        if beam == 1:
            stream = Stream(self.base, self._routing, self._record)
            yield from fill(stream, jobs, batch_size or most_rows(self.base))
            return
        while batch := list(islice(jobs, batch_size or _BEAMS)):
            rows, routes = [job.row for job in batch], [(job.route, 1) for job in batch]
            found = generate(self.base, self._routing, rows, routes, beam, max_tokens)
            yield from zip((job.key for job in batch), found, strict=True)

    def _jobs(self, asked: Sequence[_Asked], max_tokens: int) -> Iterator[Job]:
        """Yield what is to be generated, the longest first: a batch is as wide as its longest row.

        Sentences that are translated into several languages stand together, so that they are read once. Where there
        are many directions, each one's stand together instead, and no more adapters are held than have to be.
        """
        rows: list[tuple[Direction, Encoded, _Place]] = []
        by_direction = lambda each: each[0]
        for where, group in groupby(sorted(asked, key=by_direction), key=by_direction):
            those = list(group)
            encoded = self.base.format.encode(where, [sentence for _, sentence, _ in those])
            rows += [(where, row, place) for row, (_, _, place) in zip(encoded, those, strict=True)]
        rows.sort(key=lambda each: (-len(each[1].source), each[1].source))
        if len({where for where, _, _ in rows}) > _TOGETHER:
            rows.sort(key=by_direction)
        route = lru_cache(_TOGETHER)(self._routes)
        for where, row, place in rows:
            yield Job(place, row, route(where), budget(self.base, row, max_tokens))


@contextmanager
def attach(
    base: Base,
    what: Composition | Route | Mapping[Direction, Route] | RoutesOf | None = None,
    *,
    kernel: str | None = None,
    replay: bool = False,
) -> Iterator[Translator]:
    """Attach routes to a base for the length of a ``with`` block.

    Args:
        base: The base model; it is not written to.
        what: One composed direction, a route for all rows, a table or a function from direction to
            route, or None for the base alone.
        kernel: Overrides the choice of the kernel by shape.
        replay: Whether a GPU replays greedy steps as CUDA graphs; see ``replay.recorder`` for where it can. Not
            verified on a GPU yet.

    Yields:
        A translator over those routes.
    """
    direction = what.direction if isinstance(what, Composition) else None
    if isinstance(what, Composition):
        only = what.route()
        routes: RoutesOf = lambda _: only
    elif isinstance(what, Mapping):
        routes = what.__getitem__
    elif callable(what):
        routes = what
    else:
        routes = lambda _: what or ()
    with Routing(base, kernel) as routing:
        yield Translator(base, routing, routes, direction, replay)
