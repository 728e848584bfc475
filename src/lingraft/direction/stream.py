"""Greedy generation in which rows come and leave at any time, many directions at once."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from lingraft.base import Base, Encoded
from lingraft.delta import Plan, Route, Routing
from lingraft.direction.decoder import Decoder
from lingraft.direction.replay import Record

_WORTH = 0.75
"""Reading sources once takes a second pass, for what asks for the target; it must spare this share of the tokens."""
_SPARE = 32
"""Columns of the cache beyond what is needed, at least."""
_IDLE = 0.25
"""Where steps are replayed, the share of the rows that must have ended before those are taken out."""


@dataclass(frozen=True)
class Job:
    """One sentence to generate."""

    key: Hashable
    row: Encoded
    route: Route
    budget: int
    """The most new tokens."""


class Stream:
    """Rows that are generated together, one token each at every step.

    All rows write at the same column of the cache, so that a row's prompt stands right before it, and what is to the
    left of its first token is masked. A job's answer does not depend on who else is there. Where ``add`` fails,
    the running rows are as before; where ``step`` fails, the stream must not be used again.

    Where steps are recorded, they are replayed as long as the same rows run; those that have ended stay until they are
    a quarter of all.
    """

    def __init__(self, base: Base, routing: Routing, record: Record | None = None) -> None:
        """Start empty, on a base whose ``routing`` is attached; ``record`` records steps, see ``replay.recorder``."""
        self._base = base
        self._routing = routing
        self._decoder_only = base.family.kind == "decoder"
        self._idle = 0.0 if record is None else _IDLE
        self._decoder = Decoder(base, record)
        self._slots, self._sources = self._decoder.slots, self._decoder.sources
        self._jobs: list[Job] = []
        self._ended: set[int] = set()  # rows that have an answer but are still there
        self._answers: list[list[int]] = []
        self._first: list[int] = []  # the column of each row's first token
        self._next = torch.empty(0, dtype=torch.long, device=base.device)  # the token of each row that comes next
        self._column = 0  # where it goes
        self._plan = Plan(base, ())

    def __len__(self) -> int:
        """Return the number of running rows."""
        return len(self._jobs) - len(self._ended)

    @torch.no_grad()
    def add(self, jobs: Sequence[Job]) -> None:
        """Read the prompts of ``jobs`` together; they join the running rows."""
        if not jobs:
            return
        self._sweep()
        plan = Plan(self._base, [job.route for job in jobs])
        of: dict[Hashable, int] = {}
        sources = [of.setdefault((job.row.source, plan.reading(i)), len(of)) for i, job in enumerate(jobs)]
        asked = max(len(job.row.target) for job in jobs)
        self._room(len(jobs), asked + max(_lengths(jobs)) if self._decoder_only else asked, max(_lengths(jobs)))
        chosen, first = (self._read if self._decoder_only else self._encode)(jobs, sources)
        self._plan = self._plan.join(plan.rows)
        self._jobs += jobs
        self._answers += [[] for _ in jobs]
        self._first += first
        self._next = torch.cat([self._next, chosen])

    @torch.no_grad()
    def step(self) -> list[tuple[Hashable, str]]:
        """Generate one token for every running row.

        Returns:
            Key and decoded answer of the rows that ended with it; they have left.
        """
        done = []
        for i, (job, answer, token) in enumerate(zip(self._jobs, self._answers, self._next.tolist(), strict=True)):
            if i not in self._ended:
                answer.append(token)
                if token == self._base.format.end or len(answer) >= job.budget:
                    self._ended.add(i)
                    done.append((job.key, self._base.format.decode(answer)))
        self._sweep(self._idle)
        if self._jobs:
            self._room()
            self._routing.use(self._plan)
            self._next = self._decoder.step(self._next, self._first, self._column, _lengths(self._jobs), self._plan)
            self._column += 1
        return done

    def drop(self, keys: Collection[Hashable]) -> None:
        """Let the rows of ``keys`` leave at once, without an answer."""
        self._ended |= {i for i, job in enumerate(self._jobs) if job.key in keys}
        self._sweep(self._idle)

    def _sweep(self, most: float = 0.0) -> None:
        """Take out rows that have ended, where they are more than a share of all or nothing else is there."""
        if len(self._ended) > most * len(self._jobs) or not len(self):
            self._leave(sorted(self._ended))
            self._ended.clear()

    def _leave(self, gone: Sequence[int]) -> None:
        """Take rows out; the last ones move to their places."""
        if not gone:
            return
        left = len(self._jobs) - len(gone)
        holes = [i for i in gone if i < left]
        moved = [i for i in range(left, len(self._jobs)) if i not in gone]
        if holes:
            self._slots.put(holes, moved, min(self._first), self._column)
            self._sources.put(holes, moved, 0, max(_lengths(self._jobs), default=0))
        order = list(range(left))
        for hole, row in zip(holes, moved, strict=True):
            order[hole] = row
        self._jobs = [self._jobs[i] for i in order]
        self._answers = [self._answers[i] for i in order]
        self._first = [self._first[i] for i in order]
        self._next = self._next[order]
        # Nothing is held for routes that no row has.
        self._plan = self._plan.keep(order) if order else Plan(self._base, ())
        if not order:
            self._decoder.forget()

    def _room(self, slots: int = 0, before: int = 0, sources: int = 0) -> None:
        """Make room.

        Args:
            slots: How many rows come.
            before: How many columns they need left of the one that is written next, which must be there as well.
            sources: How many columns they need for their sources in an encoder–decoder.
        """
        if not self._jobs:
            self._column = before
        start = min(self._first, default=self._column)
        slots += len(self._jobs)
        if slots > self._slots.slots or before > self._column or self._column >= self._slots.columns:
            width = self._column - start
            there = max(before, width)
            # More than what is needed, so that columns in front, whose rows have left, are given up but now and then.
            wanted = there + max(there // 4, _SPARE)
            self._slots.resize(slots, wanted, len(self._jobs), (start, self._column), there - width)
            self._first = [column + there - self._column for column in self._first]
            self._column = there
        if not self._decoder_only and (slots > self._sources.slots or sources > self._sources.columns):
            read = max(_lengths(self._jobs), default=0)
            self._sources.resize(slots, max(sources, read), len(self._jobs), (0, read))

    def _read(self, jobs: Sequence[Job], sources: Sequence[int]) -> tuple[Tensor, list[int]]:
        """Read the prompts of a decoder-only base; a source that several rows have is read once.

        Args:
            jobs: What is to be read.
            sources: For each job the number of its source.

        Returns:
            The first token of each answer, and the column of each prompt's first token.
        """
        column, slot = self._column, len(self._jobs)
        prompts = [job.row.source + job.row.target for job in jobs]
        first = [column - len(prompt) for prompt in prompts]
        longest, read = max(map(len, prompts)), max(_lengths(jobs))
        tail = max(len(job.row.target) for job in jobs)
        spared = (max(sources) + 1) * read + len(jobs) * tail <= _WORTH * len(jobs) * longest
        if spared and 0 < tail <= min(map(len, prompts)):
            lead = [sources.index(number) for number in range(max(sources) + 1)]
            self._prompt([jobs[i] for i in lead], [jobs[i].row.source for i in lead], read, read)
            # Rows are read on from the same distance to their ends, which may repeat a few tokens of the source.
            self._slots.spread(slot, sources, [len(job.row.target) for job in jobs], column - read, column)
            return self._prompt(jobs, prompts, longest, tail), first
        return self._prompt(jobs, prompts, longest, longest), first

    def _prompt(self, jobs: Sequence[Job], prompts: Sequence[Sequence[int]], longest: int, tail: int) -> Tensor:
        """Read the last ``tail`` tokens of prompts whose others are there; return the token that follows each."""
        span = torch.zeros(len(jobs), longest, dtype=torch.bool)
        ids = torch.full((len(jobs), tail), self._base.format.pad)
        for i, (job, prompt) in enumerate(zip(jobs, prompts, strict=True)):
            start = longest - len(prompt)
            span[i, start : start + len(job.row.source)] = True
            new = prompt[-tail:]
            ids[i, tail - len(new) :] = torch.tensor(new)
        device = self._base.device
        self._routing.use(Plan(self._base, [job.route for job in jobs], span.to(device), before=self._plan))
        first = [self._column - len(prompt) for prompt in prompts]
        rows = slice(len(self._jobs), len(self._jobs) + len(jobs))
        return self._decoder.read(ids.to(device), rows, first, self._column - tail, _lengths(jobs))

    def _encode(self, jobs: Sequence[Job], sources: Sequence[int]) -> tuple[Tensor, list[int]]:
        """Read sources by the encoder, each once, and what asks for the target by the decoder; see ``_read``."""
        lead = [sources.index(number) for number in range(max(sources) + 1)]
        device, pad = self._base.device, self._base.format.pad
        ids = torch.full((len(lead), max(_lengths(jobs))), pad)
        for row, i in enumerate(lead):
            ids[row, : len(jobs[i].row.source)] = torch.tensor(jobs[i].row.source)
        lengths = torch.tensor([len(jobs[i].row.source) for i in lead], device=device)
        mask = torch.arange(ids.shape[1], device=device) < lengths[:, None]
        self._routing.use(Plan(self._base, [jobs[i].route for i in lead], before=self._plan))
        hidden = self._base.model.get_encoder()(input_ids=ids.to(device), attention_mask=mask.long())[0]
        longest = max(len(job.row.target) for job in jobs)
        asked = torch.tensor([(pad,) * (longest - len(job.row.target)) + job.row.target for job in jobs])
        first = [self._column - len(job.row.target) for job in jobs]
        self._routing.use(Plan(self._base, [job.route for job in jobs], before=self._plan))
        rows = slice(len(self._jobs), len(self._jobs) + len(jobs))
        read = self._decoder.read
        return read(asked.to(device), rows, first, self._column - longest, _lengths(jobs), hidden[sources]), first


def fill(stream: Stream, jobs: Iterable[Job], rows: int) -> Iterator[tuple[Hashable, str]]:
    """Generate many jobs, ``rows`` at once; places that become free are filled while the others go on.

    Args:
        stream: Where they run.
        jobs: The jobs, those of like length together.
        rows: How many run at once.

    Yields:
        Key and answer of each job as it ends.
    """
    waiting = iter(jobs)
    while True:
        free = rows - len(stream)
        # Reading a few prompts costs nearly as much as reading many.
        if 4 * free >= rows:
            stream.add(list(islice(waiting, free)))
        if not len(stream):
            return
        yield from stream.step()


def _lengths(jobs: Iterable[Job]) -> list[int]:
    """Return the number of tokens of each source."""
    return [len(job.row.source) for job in jobs]
