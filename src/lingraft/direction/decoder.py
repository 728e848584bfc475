"""Passes through a base's decoder whose rows are at different positions."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from lingraft.atoms import Role
from lingraft.base import Base
from lingraft.direction.replay import Record, Step
from lingraft.direction.slots import Slots

_CACHES = ("k", "v", "cross_k", "cross_v")
_COLUMNS = 128  # tokens of a row and its answer that room is reckoned for
_SMALL = 2**29  # bytes that a cache may take beside any base


def most_rows(base: Base) -> int:
    """Return how many rows to generate at once.

    The more they are, the less a step costs each: its operations start once, and weights are read once. Their cache may
    take half as much memory as the weights, or half a GiB; that is for at least 64 rows and at most 256.
    """
    column = sum(base.shape(site)[0] for site in base.sites if site.stack == "decoder" and site.name in _CACHES)
    weights = sum(each.numel() * each.element_size() for each in base.model.parameters())
    rows = max(_SMALL, weights // 2) // (_COLUMNS * column * base.dtype.itemsize)
    return min(256, max(64, rows))


class _Frame(NamedTuple):
    """What replayed passes of one token read; all that changes between them are values of the first two."""

    tokens: Tensor  # N, 1
    column: Tensor  # 1
    columns: Tensor  # W: the numbers of those that are seen
    first: Tensor  # N, 1: the column of each row's first token
    sources: Tensor | None  # N, 1, 1, S: True where the source of a row has a token


class Decoder:
    """The decoder of a base, decoder-only or not, with the cache of its rows."""

    def __init__(self, base: Base, record: Record | None = None) -> None:
        """Prepare for ``base``; its cache is empty. Steps are replayed where there is something to ``record`` them."""
        self._base = base
        self._record = record
        self._running: tuple[Hashable, ...] = ()  # what is the same as long as a step can be replayed
        self._frame: _Frame | None = None
        self._replay: Step | None = None
        self._alone = base.family.kind == "decoder"
        depth = 1 + max(site.layer for site in base.sites if site.stack == "decoder")
        self.slots = Slots(depth)
        self.sources = Slots(depth)  # what cross-attention reads; a source starts at column 0

    def read(
        self,
        ids: Tensor,
        rows: slice,
        first: Sequence[int],
        stop: int,
        lengths: Sequence[int],
        hidden: Tensor | None = None,
    ) -> Tensor:
        """Let tokens pass.

        Args:
            ids: [N, T] the tokens.
            rows: The slots of the rows.
            first: The column of each row's first token; what is further left is masked.
            stop: The column of the first of ``ids``.
            lengths: How many tokens the source of each row has.
            hidden: [N, S, d] what an encoder made of the sources; None where cross-attention has seen them.

        Returns:
            [N] the most likely next token of each row.
        """
        start, device = min(stop, *first), ids.device
        self.slots.view(rows, start, stop)
        columns = torch.arange(start, stop + ids.shape[1], device=device)
        begins = torch.tensor(first, device=device)[:, None]
        mask = (columns >= begins).long()
        positions = (columns[stop - start :] - begins).clamp(min=0)
        if self._alone:
            return self._pass(ids, mask, positions)
        there = _there(lengths, device)
        self.sources.view(rows, 0, 0 if hidden is not None else there.shape[1])
        return self._pass(ids, mask, positions, there.long(), hidden)

    def step(
        self, tokens: Tensor, first: Sequence[int], column: int, lengths: Sequence[int], running: Hashable
    ) -> Tensor:
        """Let one more token of each of the first rows pass; see ``read``.

        Args:
            tokens: [N] the tokens.
            first: The column of each row's first token.
            column: The column of ``tokens``.
            lengths: How many tokens the source of each row has.
            running: What is equal as long as the same rows get the same.

        Returns:
            [N] the most likely next token of each row; the next step may write to it.
        """
        one_by_one = partial(self.read, tokens[:, None], slice(0, len(first)), first, column, lengths)
        if self._record is None:
            return one_by_one()
        now = running, tuple(first), self.slots.made, self.sources.made
        if self._running != now:
            self.forget()
            self._running = now
            return one_by_one()
        if self._replay is None or self._frame is None:
            self._frame = self._framed(tokens, first, column, lengths)
            self._replay = self._record(partial(self._fixed, self._frame))
        self._frame.tokens.copy_(tokens[:, None])
        self._frame.column.fill_(column)
        return self._replay()

    def forget(self) -> None:
        """Let go of the step that was recorded, and of what ran."""
        self._running, self._frame, self._replay = (), None, None

    def _framed(self, tokens: Tensor, first: Sequence[int], column: int, lengths: Sequence[int]) -> _Frame:
        made = partial(torch.tensor, device=tokens.device)
        columns = torch.arange(min(first), self.slots.columns, device=tokens.device)
        there = None if self._alone else _there(lengths, tokens.device)[:, None, None]
        return _Frame(tokens[:, None].clone(), made([column]), columns, made(first)[:, None], there)

    def _fixed(self, frame: _Frame) -> Tensor:
        """Let tokens pass at whatever column the frame says, without a look at any value."""
        rows = slice(0, len(frame.first))
        self.slots.fix(rows, self.slots.columns - len(frame.columns), frame.column)
        if frame.sources is not None:
            self.sources.view(rows, 0, frame.sources.shape[-1])
        mask = ((frame.columns >= frame.first) & (frame.columns <= frame.column))[:, None, None]
        return self._pass(frame.tokens, mask, frame.column - frame.first, frame.sources)

    def _pass(
        self, ids: Tensor, mask: Tensor, positions: Tensor, there: Tensor | None = None, hidden: Tensor | None = None
    ) -> Tensor:
        """Run the model on the window that is set; return the most likely next token of each row.

        Args:
            ids: [N, T] the tokens.
            mask: What they may see, in a form that the model takes.
            positions: [N, T] their positions.
            there: Where the sources have tokens, likewise; None for a decoder-only base.
            hidden: [N, S, d] what an encoder made of the sources; None where cross-attention has seen them.

        Returns:
            [N] tokens.
        """
        if there is None:
            return self._next(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self.slots,
                logits_to_keep=1,
            )
        # Where its keys are there, all that is asked of an encoder's output is its shape.
        if hidden is None:
            hidden = torch.zeros(1, 1, 1, device=ids.device).expand(len(ids), there.shape[-1], 1)
        with self._at(positions):
            return self._next(
                encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
                attention_mask=there,
                decoder_input_ids=ids,
                decoder_attention_mask=mask,
                past_key_values=EncoderDecoderCache(self.slots, self.sources),
            )

    def _next(self, **inputs: Any) -> Tensor:
        chosen: Tensor = self._base.model(**inputs, use_cache=True).logits[:, -1].argmax(-1)
        return chosen

    @contextmanager
    def _at(self, positions: Tensor) -> Iterator[None]:
        """Let a decoder's table of positions be read at [N, T] places: it counts by the cache's length otherwise."""
        path = self._base.embedding(Role.TARGET).rpartition(".")[0]
        table: Any = self._base.model.get_submodule(f"{path}.embed_positions")

        def read(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            pad = table.padding_idx
            places = torch.where(args[0] == pad, pad, positions + pad + 1)
            found: Tensor = table.weights.index_select(0, places.flatten()).view_as(output)
            return found

        handle = table.register_forward_hook(read)
        try:
            yield
        finally:
            handle.remove()


def _there(lengths: Sequence[int], device: torch.device) -> Tensor:
    """Return bool [N, S]: where sources of these lengths have tokens."""
    return torch.arange(max(lengths), device=device) < torch.tensor(lengths, device=device)[:, None]
