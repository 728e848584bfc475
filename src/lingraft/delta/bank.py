"""Adapters and the bank that holds them: Key(site, language, role) → update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lingraft.atoms import AdapterName, Key, Role, Scope, Site
from lingraft.delta.update import Update

_SCOPES = {Role.SOURCE: (Scope.EVERYWHERE, Scope.SOURCE), Role.TARGET: (Scope.EVERYWHERE, Scope.TARGET)}


class Token(NamedTuple):
    """The token of a language that the base has none for: it stands where a relative's would, as another vector."""

    relative: str
    """The language whose id is used; it has a token in the base."""
    row: Tensor
    """[d] what is read there instead of the relative's row of the embedding, before any scaling of embeddings."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """All updates of one language in one role: the unit that is trained, stored, versioned, shared."""

    language: str
    role: Role
    scope: Scope
    updates: Mapping[Site, Update]
    token: Token | None = None
    """The language's token, where the base has none: the encoder reads the source's, the decoder the target's."""

    def __post_init__(self) -> None:
        if self.scope not in _SCOPES[self.role]:
            allowed = " or ".join(scope.value for scope in _SCOPES[self.role])
            raise ValueError(
                f"`scope` of a {self.role.value} adapter must be {allowed}, but is {self.scope.value} instead."
            )

    @property
    def name(self) -> AdapterName:
        """The adapter's address in a bank."""
        return AdapterName(self.language, self.role)

    @property
    def parameters(self) -> int:
        """The number of trained values."""
        own = 0 if self.token is None else self.token.row.numel()
        return own + sum(update.A.numel() + update.B.numel() for update in self.updates.values())


class Bank(Mapping[AdapterName, Adapter]):
    """An immutable collection of adapters; adding or dropping one gives a new bank."""

    def __init__(self, adapters: Iterable[Adapter] = ()) -> None:
        """Hold ``adapters``; of two with the same name the later one counts."""
        self._adapters = {adapter.name: adapter for adapter in adapters}

    def __getitem__(self, name: AdapterName) -> Adapter:
        return self._adapters[name]

    def __iter__(self) -> Iterator[AdapterName]:
        return iter(self._adapters)

    def __len__(self) -> int:
        return len(self._adapters)

    def __repr__(self) -> str:
        return f"Bank({', '.join(map(str, self))})"

    def with_(self, *adapters: Adapter) -> Bank:
        """Return a bank that also holds ``adapters``."""
        return Bank([*self._adapters.values(), *adapters])

    def without(self, language: str) -> Bank:
        """Return a bank that holds no adapter of ``language``."""
        return Bank(adapter for name, adapter in self._adapters.items() if name.language != language)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages with at least one adapter, sorted."""
        return tuple(sorted({name.language for name in self}))

    def updates(self) -> dict[Key, Update]:
        """Return every update under its full address."""
        return {
            Key(site, name.language, name.role): update
            for name, adapter in self._adapters.items()
            for site, update in adapter.updates.items()
        }
