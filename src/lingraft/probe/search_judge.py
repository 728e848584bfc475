"""What a candidate for a direction is worth: many of them in one batch, since each is only a route."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch

from lingraft.atoms import AdapterName, Direction, Role
from lingraft.base import Base
from lingraft.corpus.profile import Identifier
from lingraft.delta import Bank, Route, Routing
from lingraft.direction import Job, Stream, budget, fill
from lingraft.direction.room import fitting
from lingraft.direction.sentences import Pieces, join, split
from lingraft.fit.batch import collate, losses, pack
from lingraft.fit.learner import Row
from lingraft.library import Library
from lingraft.library.mixing import Mixing
from lingraft.measure.classes import chrf_of, statistics

_TOKENS = 4096  # padded tokens of a batch whose loss is computed
Advance = Callable[[int], None]
"""Told of the number of sentences that became ready."""


@dataclass(frozen=True)
class Verdict:
    """What came of a candidate."""

    value: float
    """What a search makes as large as it can."""
    chrf: float | None = None
    """chrF++, 0 … 100; None where the objective is the loss."""
    off_target: float | None = None
    """Percentage of the outputs that are blank or in another language."""
    outputs: tuple[str, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Lines:
    """Sentences of a direction and their references."""

    sources: tuple[str, ...]
    references: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def parted(self) -> tuple[Lines, Lines]:
        """Return the lines to search on, and every third, which only the outcome may see.

        A line that shares a sentence with an earlier one goes where that went.
        """
        parts: tuple[list[tuple[str, str]], list[tuple[str, str]]] = [], []
        held: dict[tuple[int, str], bool] = {}
        count = 0
        for line in zip(self.sources, self.references, strict=True):
            sides = list(enumerate(line))
            known = [held[side] for side in sides if side in held]
            apart = known[0] if known else count % 3 == 2
            count += not known
            for side in sides:
                held.setdefault(side, apart)
            parts[apart].append(line)
        seen, unseen = (Lines(tuple(a for a, _ in part), tuple(b for _, b in part)) for part in parts)
        return seen, unseen


class Judge:
    """Translates lines of one direction by many candidates at a time, and scores them."""

    def __init__(self, library: Library, direction: Direction, identifier: Identifier, batch: int = 128) -> None:
        """Read the adapters.

        Args:
            library: The library with its base.
            direction: The pair of languages; both must be installed.
            identifier: Knows at least the target language.
            batch: Sentences per batch.

        Raises:
            AdapterError: An adapter is damaged.
            LibraryError: A language isn't installed.
        """
        self.base: Base = library.base
        self.direction = direction
        self.bank = Bank(
            library.adapter(library.pointer(name.language), name.role)
            for name in (AdapterName(direction.source, Role.SOURCE), AdapterName(direction.target, Role.TARGET))
        )
        self._recipe = library.recipe
        self._identifier = identifier
        self.batch = batch

    def route(self, made: Mixing) -> Route:
        """Return the route of a candidate."""
        return made.route(self.bank, self._recipe, self.direction)

    def scores(self, candidates: Sequence[Mixing], lines: Lines, advance: Advance | None = None) -> list[Verdict]:
        """Translate by every candidate, and score.

        The value is chrF++ times the share of outputs in the right language: one that is not is worth nothing.

        Args:
            candidates: How the direction may be made.
            lines: What to translate.
            advance: Told of progress.

        Returns:
            One verdict per candidate.
        """
        outputs = self._translations([self.route(made) for made in candidates], lines.sources, advance)
        return [self.verdict(each, lines) for each in outputs]

    def verdict(self, outputs: Sequence[str], lines: Lines) -> Verdict:
        """Return what translations of some lines are worth, see `scores`."""
        chrf = float(chrf_of(statistics(outputs, lines.references).sum(0)))
        wrong = sum(not self._identifier.accepts(text, self.direction.target) for text in outputs) / len(outputs)
        return Verdict(chrf * (1 - wrong), chrf, 100 * wrong, tuple(outputs))

    def losses(self, candidates: Sequence[Mixing], lines: Lines, advance: Advance | None = None) -> list[Verdict]:
        """Return verdicts by the mean cross-entropy per token of the references, negated; nothing is generated."""
        rows = self.rows(lines)
        sums, tokens = [0.0] * len(candidates), sum(len(row.text.answer) for row in rows)
        routes = [self.route(made) for made in candidates]
        with torch.no_grad(), Routing(self.base) as routing:
            for packed in pack([rows] * len(candidates), _TOKENS):
                batch = collate(self.base, packed)
                routing.set([(routes[index], count) for index, _, count in batch.groups], batch.span)
                for (index, _, _), part in zip(batch.groups, losses(self.base, batch), strict=True):
                    sums[index] += float(part)
                if advance:
                    advance(len(packed))
        return [Verdict(-whole / tokens) for whole in sums]

    def rows(self, lines: Lines) -> list[Row]:
        """Return lines as encoded rows with their references."""
        encoded = self.base.format.encode(self.direction, lines.sources, lines.references)
        return [Row(self.direction, row) for row in encoded]

    def sentences(self, lines: Lines) -> int:
        """Return how many sentences one candidate translates."""
        return len(self._split(lines.sources)[1])

    def _split(self, texts: Sequence[str]) -> tuple[list[Pieces], list[str]]:
        """Return the parts of each text, and the sentences of all of them, each once."""
        fits = fitting(self.base, self.direction)
        pieces = [split(text, self.direction.source, fits) for text in texts]
        return pieces, list(dict.fromkeys(sentence for parts in pieces for _, sentence in parts.sentences()))

    def _translations(self, routes: Sequence[Route], texts: Sequence[str], advance: Advance | None) -> list[list[str]]:
        """Return the translations of all texts by each route."""
        pieces, sentences = self._split(texts)
        jobs = [
            Job((i, sentence), row, route, budget(self.base, row))
            for sentence, row in zip(sentences, self.base.format.encode(self.direction, sentences), strict=True)
            for i, route in enumerate(routes)
        ]
        jobs.sort(key=lambda job: (-len(job.row.source), job.row.source))  # of like length: little padding
        done: list[dict[str, str]] = [{} for _ in routes]
        with Routing(self.base) as routing:
            for key, answer in fill(Stream(self.base, routing), jobs, self.batch):
                i, sentence = cast(tuple[int, str], key)
                done[i][sentence] = answer
                if advance:
                    advance(1)
        return [
            [
                join(parts, {at: answers[sentence] for at, sentence in parts.sentences()}, self.direction.target)
                for parts in pieces
            ]
            for answers in done
        ]
