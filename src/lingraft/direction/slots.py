"""Keys and values of rows that come and leave, in buffers that are written in place."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

_STEP = 64
"""Buffers have a multiple of this number of columns."""
_MORE = 8
"""Buffers that have too few slots get at most this many more than are needed."""


class Slots(Cache):
    """The cache of a running batch: a slot for each row, a column for each token, room for more of both.

    A pass sees a window: some slots, from a first column to the one that is written next. Slots in use stand
    together from the first one on; those that are free hold what was there before, always finite, always masked.
    """

    def __init__(self, depth: int) -> None:
        """Prepare ``depth`` layers; memory is taken when the first keys come."""
        self.slots = 0
        self.columns = 0
        self.rows = slice(0, 0)
        self.start = 0
        self.stop = 0
        self.at: Tensor | None = None
        self.made = 0
        """How often the buffers were made anew."""
        self._stack = [_Layer(self) for _ in range(depth)]
        super().__init__(layers=list(self._stack))

    def view(self, rows: slice, start: int, stop: int) -> None:
        """Set the window of the coming pass: columns start … stop − 1 of these slots; it writes from stop on."""
        self.rows, self.start, self.stop, self.at = rows, start, stop, None

    def fix(self, rows: slice, start: int, at: Tensor) -> None:
        """Set a window for passes of one token that may be replayed: from a column on, all there are.

        Args:
            rows: The slots.
            start: The first column.
            at: [1] the column that is written.
        """
        self.rows, self.start, self.stop, self.at = rows, start, self.columns - 1, at

    def resize(self, slots: int, columns: int, used: int, kept: tuple[int, int], to: int = 0) -> None:
        """Make room for this much, and move what is kept.

        Buffers that are too small are replaced, and so are those of more than twice the columns: one long row must not
        cost its columns for ever after.

        Args:
            slots: How many slots there must be.
            columns: How many columns there must be.
            used: How many slots are in use.
            kept: The first column that is kept, and the one after the last.
            to: Where the first of them goes.
        """
        wanted = -(-columns // _STEP) * _STEP
        same = slots <= self.slots and wanted <= self.columns <= 2 * wanted
        if not same:
            if slots > self.slots:
                self.slots = max(slots, min(2 * self.slots, self.slots + _MORE))
            self.columns = wanted
            self.made += 1
        for layer in self._stack:
            layer.move(used, kept, to, same)

    def put(self, there: Sequence[int], here: Sequence[int], start: int, stop: int) -> None:
        """Copy columns start … stop − 1 of the slots ``here`` to the slots ``there``, which are others."""
        for layer in self._stack:
            for buffer in layer.buffers:
                buffer[list(there), :, start:stop] = buffer[list(here), :, start:stop]

    def spread(self, first: int, sources: Sequence[int], shifts: Sequence[int], start: int, stop: int) -> None:
        """Let the slots from ``first`` on, whose columns start … stop − 1 were read, become those of several rows each.

        Args:
            first: The first slot.
            sources: For each row to come the number of the slot, counted from ``first``, that it continues.
            shifts: By how many columns its copy stands further left.
            start: The first column that was read.
            stop: The column after the last.
        """
        for layer in self._stack:
            for buffer in layer.buffers:
                read = buffer[first : first + max(sources) + 1, :, start:stop].clone()
                for i, (source, shift) in enumerate(zip(sources, shifts, strict=True)):
                    buffer[first + i, :, start - shift : stop - shift] = read[source]


class _Layer(CacheLayerMixin):
    """The buffers of one layer; ``keys`` and ``values`` are the window on them."""

    def __init__(self, of: Slots) -> None:
        self._of: Slots = weakref.proxy(of)  # no cycle: buffers are given back as soon as nobody has the cache
        self.buffers: list[Tensor] = []  # keys and values, each slots, heads, columns, d

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.buffers = [
            states.new_zeros(self._of.slots, states.shape[1], self._of.columns, states.shape[3])
            for states in (key_states, value_states)
        ]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.buffers:
            self.lazy_initialization(key_states, value_states)
        stop = self._of.stop + key_states.shape[2]
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            if self._of.at is None:
                buffer[self._of.rows, :, self._of.stop : stop] = states
            else:
                buffer[self._of.rows].index_copy_(2, self._of.at, states)
        keys, values = (buffer[self._of.rows, :, self._of.start : stop] for buffer in self.buffers)
        return keys, values

    def move(self, used: int, kept: tuple[int, int], to: int, same: bool) -> None:
        """Move what is kept, in the ``same`` buffers or to those of the size that is wanted now."""
        stop = to + kept[1] - kept[0]
        for i, old in enumerate(self.buffers):
            moved = old[:used, :, kept[0] : kept[1]]
            if same:
                old[:used, :, to:stop] = moved.clone()  # the places may overlap
            else:
                self.buffers[i] = old.new_zeros(self._of.slots, old.shape[1], self._of.columns, old.shape[3])
                self.buffers[i][:used, :, to:stop] = moved

    @property
    def keys(self) -> Tensor:  # type: ignore[override]
        """The window on the keys."""
        return self.buffers[0][self._of.rows, :, self._of.start : self._of.stop]

    @property
    def values(self) -> Tensor:  # type: ignore[override]
        """The window on the values."""
        return self.buffers[1][self._of.rows, :, self._of.start : self._of.stop]

    @property
    def is_initialized(self) -> bool:
        """Whether there are buffers."""
        return bool(self.buffers)

    def get_seq_length(self) -> int:
        return self._of.stop - self._of.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return -1
