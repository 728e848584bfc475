"""What can be read of a library: its languages, their pointers, and adapters that were checked."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from lingraft.atoms import AdapterError, AdapterName, LibraryError, Role
from lingraft.base import Base
from lingraft.corpus.profile import Profile
from lingraft.delta import Adapter, Bank
from lingraft.direction.recipe import Recipe
from lingraft.library import disk
from lingraft.library.library_card import Card
from lingraft.library.like import require_like, with_installed
from lingraft.library.manifest import Manifest, Pointer, read_manifest
from lingraft.library.memory import Shelf
from lingraft.library.places import Places
from lingraft.library.refusal import JSON_BYTES, MANIFEST
from lingraft.library.validate import Loaded, Read, decode, decode_profile

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds that a writer waits for another one."""


class Reader:
    """The reading half of a `Library`."""

    def __init__(
        self, path: Path, card: Card, base: Base | None, patience: float = PATIENCE, budget: int | None = None
    ) -> None:
        """Hold a library that exists; use `open`, `create` or `ensure`.

        Args:
            path: Its folder.
            card: What its ``library.json`` says.
            base: The base that its adapters belong to; None: nothing can be loaded or added.
            patience: Seconds to wait for another writer.
            budget: Most bytes of adapters to keep in memory for directions; None: no bound.
        """
        self.path = path
        self.places = Places(path)
        self.card = card
        self.patience = patience
        me = weakref.proxy(self)  # else library and shelf would keep each other, and all adapters, in memory
        self.shelf = Shelf(lambda name, version: me.decoded(name, version).adapter, budget)
        self._given = base
        self._base = self._told()

    @property
    def base(self) -> Base:
        """The base that the library was opened for, told of languages whose token is in their adapters.

        Raises:
            LibraryError: It was opened for none.
        """
        if self._base is None:
            raise LibraryError(f"`{self.path}` must be opened with its base {self.card.base.id}, but was with none.")
        return self._base

    @property
    def recipe(self) -> Recipe:
        """The recipe that directions of this library are composed with."""
        return self.card.recipe.recipe()

    def languages(self) -> tuple[str, ...]:
        """Return the codes of the installed languages, sorted."""
        return self.places.languages()

    def pointer(self, language: str) -> Pointer:
        """Return which versions of a language are installed.

        Args:
            language: The language's code.

        Returns:
            Its pointer: the installed versions and those before them.

        Raises:
            LibraryError: The language isn't installed, or its pointer is damaged.
        """
        return self.places.pointer(language)

    def load(self, language: str, role: Role) -> Adapter:
        """Return an installed adapter, after checking everything about it.

        Args:
            language: The language's code.
            role: Which of its two adapters.

        Returns:
            The adapter, one update per site.

        Raises:
            LibraryError: The language isn't installed, or the library was opened for no base.
            AdapterError: The adapter's files are damaged.
        """
        return self.stored(language, role).adapter

    def adapter(self, pointer: Pointer, role: Role) -> Adapter:
        """Return the adapter that a pointer names, from memory if it is there; else it is read and kept there.

        Args:
            pointer: A pointer of this library, which may have been replaced since.
            role: Which of its two adapters.

        Returns:
            The adapter on the base's device. Its tensors are shared: nobody may write to them.

        Raises:
            LibraryError: The library was opened for no base, or the pointer is damaged.
            AdapterError: The adapter's files are damaged, or gone with their language.
        """
        name, version = AdapterName(pointer.language, role), pointer.of(role)
        found = self.shelf.get(name, version, self.base.device)
        require_like(pointer, name, version, found.token and found.token.relative)
        return found

    def stored(self, language: str, role: Role) -> Loaded:
        """Return an installed adapter with its manifest and the language's profile (errors as in `load`)."""
        read = lambda pointer: self._checked(AdapterName(language, role), pointer.of(role), pointer)
        return self._by_pointer(language, read)

    def manifest(self, language: str, role: Role) -> Manifest:
        """Return the manifest of an installed adapter; its weights are not looked at."""
        parts = self.places.parts(language, role)
        place = lambda pointer: (*parts, pointer.of(role), MANIFEST)
        read = lambda pointer: read_manifest(disk.read_file(self.path, place(pointer), JSON_BYTES))
        return self._by_pointer(language, read)

    def bank(self, languages: Iterable[str] | None = None) -> Bank:
        """Return the adapters of some languages, or of all (errors as in `load`)."""
        chosen = self.languages() if languages is None else tuple(languages)
        return Bank(self.load(language, role) for language in chosen for role in Role)

    def profiles(self, languages: Iterable[str] | None = None) -> dict[str, Profile]:
        """Return the profiles of some languages, or of all; no weights are read (errors as in `load`)."""
        chosen = self.languages() if languages is None else tuple(languages)
        return {language: self._profile(AdapterName(language, Role.TARGET)) for language in chosen}

    def check_version(self, language: str, role: Role, version: str) -> None:
        """Check one version, current or old (errors as in `load`)."""
        self._checked(AdapterName(language, role), version, self.pointer(language))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({str(self.path)!r}, {self.card.base.id}: {', '.join(self.languages()) or 'empty'})"
        )

    def _told(self) -> Base | None:
        return None if self._given is None else with_installed(self._given, self.places)

    def decoded(self, name: AdapterName, version: str) -> Loaded:
        """Return a version that lies on disk, whether or not a pointer names it (errors as in `load`)."""
        return decode(self.reader(name, version), self.base, name, version)

    def _profile(self, name: AdapterName) -> Profile:
        def read(pointer: Pointer) -> Profile:
            version = pointer.of(name.role)
            return decode_profile(self.reader(name, version), name, version)

        return self._by_pointer(name.language, read)

    def _by_pointer(self, language: str, read: Callable[[Pointer], T]) -> T:
        """Return what is read by a language's pointer; if its version is gone and it has moved since, read again."""
        pointer = self.pointer(language)
        while True:
            try:
                return read(pointer)
            except AdapterError as error:
                if error.code != "adapter.missing" or pointer == (pointer := self.pointer(language)):
                    raise

    def reader(self, name: AdapterName, version: str) -> Read:
        """Return what gives a file of one version, by its name and the most bytes that it may have."""
        place = (*self.places.parts(*name), version)
        return lambda file, limit: disk.read_file(self.path, (*place, file), limit)

    def _checked(self, name: AdapterName, version: str, pointer: Pointer) -> Loaded:
        """Return a version, about whose token the pointer must say what the version says itself."""
        loaded = self.decoded(name, version)
        require_like(pointer, name, version, loaded.manifest.like)
        return loaded
