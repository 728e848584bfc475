"""Adapters in memory: read when they are first asked for, dropped when others need the room.

An adapter is found by the hash of its content and never by its name alone, so an update of a language is another
adapter, and whoever works with the old one keeps it.

Weights are copied into memory and not mapped from their files. A mapping follows its file: whoever wrote to the file
later would change weights that had already been checked, and whoever cut it short would kill the process. A copy is
what was checked, for as long as it is there. A mapping would save no reading either, since the hash needs every byte.
A file that changes is found when it is next read: by another process, after the adapter was dropped, or by
``lingraft doctor``.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from lingraft.atoms import AdapterName, ConfigError, Site
from lingraft.delta import Adapter, Update
from lingraft.library.refusal import refuse

Read = Callable[[AdapterName, str], Adapter]
"""(name, version) → the adapter, checked, in memory of its own."""
_Key = tuple[str, str]


@dataclass(frozen=True)
class Usage:
    """What a shelf holds, and what it did so far."""

    adapters: int
    bytes: int
    """Of all A, B and tokens that it holds, wherever they are."""
    peak: int
    """The most bytes so far."""
    reads: int
    hits: int
    """How often an adapter was asked for that was there."""
    dropped: int


class Shelf:
    """The adapters of one library that are in memory; any thread may ask.

    ``budget`` bounds the bytes of what is kept. Over it, the adapter that was not asked for the longest goes first, but
    none whose updates anyone still refers to: a bank, a route, a batch that runs. Python counts references, so nothing
    needs to be given back by hand. While batches hold more than the budget, the shelf is over it, until the next
    adapter is asked for after them. An adapter that is being read comes on top: its file and its tensors. What is
    computed from an adapter, such as a composition, is its owner's.
    """

    def __init__(self, read: Read, budget: int | None = None) -> None:
        """Hold nothing yet.

        Args:
            read: Reads an adapter; may be called by several threads, once at a time for each version.
            budget: Most bytes; None: no bound.

        Raises:
            ConfigError: ``budget`` is no number of bytes.
        """
        if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 0):
            raise ConfigError(
                f"`budget` must be a whole number of bytes from 0, or None for no bound, but is {budget!r:.40} instead."
            )
        self.budget = budget
        self._read = read
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()  # the one asked for the longest ago first
        self._reading: dict[_Key, threading.Lock] = {}
        self._bytes = self._peak = self._reads = self._hits = self._dropped = 0

    def get(self, name: AdapterName, version: str, device: torch.device) -> Adapter:
        """Return an adapter, from memory if it is there.

        Args:
            name: Its language and role.
            version: The hash of its content.
            device: Where it must be.

        Returns:
            The adapter; as long as its updates are referred to, everyone who asks gets the same ones.

        Raises:
            AdapterError: It cannot be read, or has another name. Nothing is kept then, and the next call tries again.
        """
        key = (version, str(device))
        with self._lock:
            if (found := self._find(key)) is not None:
                return _named(found, name)
            turn = self._reading.setdefault(key, threading.Lock())
        with turn:  # the lock of this version alone: others can be had meanwhile
            with self._lock:
                if (found := self._find(key)) is not None:
                    return _named(found, name)
            try:
                adapter = self._read(name, version)
                with self._lock:
                    return _named(self._keep(key, adapter), name)
            finally:
                with self._lock:
                    self._reading.pop(key, None)

    def usage(self) -> Usage:
        """Return what the shelf holds now, and what it did so far."""
        with self._lock:
            return Usage(len(self._entries), self._bytes, self._peak, self._reads, self._hits, self._dropped)

    def trim(self, budget: int | None = None) -> None:
        """Drop now what exceeds a budget and is not in use; None: the shelf's own budget."""
        with self._lock:
            self._make_room(self.budget if budget is None else budget)

    def _find(self, key: _Key) -> Adapter | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._hits += 1
        self._entries.move_to_end(key)
        adapter = entry.adapter()
        self._make_room(self.budget)  # a batch that held more than the budget may be over by now
        return adapter

    def _keep(self, key: _Key, read: Adapter) -> Adapter:
        self._reads += 1
        if key in self._entries:  # after a failed read, two may have tried again at once
            return self._entries[key].adapter()
        entry = _Entry(replace(read, updates={}), _Updates(read.updates), _size(read))
        self._entries[key] = entry
        self._bytes += entry.size
        adapter = entry.adapter()
        self._make_room(self.budget)
        self._peak = max(self._peak, self._bytes)
        return adapter

    def _make_room(self, budget: int | None) -> None:
        if budget is None or self._bytes <= budget:
            return
        for key, entry in list(self._entries.items()):
            if self._bytes <= budget:
                break
            if entry.let_go():
                del self._entries[key]
                self._bytes -= entry.size
                self._dropped += 1


class _Updates(dict[Site, Update]):
    """The updates of an adapter; a dict that can be referred to weakly, which tells whether anyone has it."""

    __slots__ = ("__weakref__",)


@dataclass
class _Entry:
    """An adapter on the shelf."""

    rest: Adapter
    """The adapter without its updates."""
    updates: _Updates | None
    size: int
    ref: weakref.ref[_Updates] = field(init=False)

    def __post_init__(self) -> None:
        assert self.updates is not None
        self.ref = weakref.ref(self.updates)

    def adapter(self) -> Adapter:
        """Return the adapter, whose updates are in use as long as anyone has it or a route of it."""
        assert self.updates is not None
        return replace(self.rest, updates=self.updates)

    def let_go(self) -> bool:
        """Free the updates unless someone else has them, and say whether they are gone."""
        self.updates = None
        self.updates = self.ref()
        return self.updates is None


def _size(adapter: Adapter) -> int:
    """Return the bytes of an adapter's tensors."""
    token = 0 if adapter.token is None else adapter.token.row.nbytes
    return token + sum(update.A.nbytes + update.B.nbytes for update in adapter.updates.values())


def _named(adapter: Adapter, name: AdapterName) -> Adapter:
    """Return an adapter that must have a name: a pointer may lead to another one's content."""
    if adapter.name != name:
        raise refuse("name", f"the adapter must be {name}, but is {adapter.name} instead.")
    return adapter
