"""The library: a folder of language modules that is always readable and always whole.

A version of an adapter is a folder named by the hash of its content and never written to again. A small
pointer file per language says which versions are installed, and is replaced last, in one step. So a
reader needs no lock, a killed writer leaves the old state or the new one, and adding a language touches
no file of another.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path

from lingraft.atoms import AdapterError, AdapterName, LibraryError, Role
from lingraft.base import Base
from lingraft.corpus.profile import Profile
from lingraft.delta import Adapter, Bank
from lingraft.direction.recipe import Recipe
from lingraft.library import disk
from lingraft.library.library_card import Card, new_card, read_card
from lingraft.library.like import require_like, with_installed
from lingraft.library.manifest import VERSION, Manifest, Pointer, Versions, read_manifest
from lingraft.library.memory import Shelf
from lingraft.library.module import LanguageModule
from lingraft.library.places import CARD_FILE, Places
from lingraft.library.refusal import JSON_BYTES, MANIFEST
from lingraft.library.validate import Loaded, Read, content_hash, decode, decode_profile

PATIENCE = 60.0
"""Seconds that a writer waits for another one."""


class Library:
    """A library on disk, opened for one base (or for none, to look at it only)."""

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
        self.shelf = Shelf(lambda name, version: me._decode(name, version).adapter, budget)
        self._given = base
        self._base = self._told()

    @classmethod
    def create(cls, path: str | Path, base: Base, *, recipe: Recipe | None = None, scope: str = "span") -> Library:
        """Make an empty library.

        Args:
            path: Its folder, which is missing or empty.
            base: The base that all its adapters will belong to.
            recipe: The default recipe; None: both weights are 1 everywhere.
            scope: Where its adapters act: on their own ``span``, or ``everywhere``.

        Returns:
            The library, opened for ``base``.

        Raises:
            ConfigError: The recipe names layers or sites that the base does not have, or a weight is no number.
            LibraryError: There is one already, the folder holds other things, or the disk failed.
        """
        path, card = Path(path), new_card(base, recipe or Recipe(), scope)
        with disk.reported(path):
            disk.make_folder(path)
        with Places(path).writing(PATIENCE):
            strange = sorted(each.name for each in path.iterdir() if not each.name.startswith("."))
            if strange:
                raise LibraryError(
                    f"`{path}` must be empty to become a library, but holds {', '.join(strange[:5])}. "
                    + ("Open it instead." if CARD_FILE in strange else "Choose another folder.")
                )
            with disk.reported(path):
                disk.write_file(path / CARD_FILE, card.to_json())
        return cls(path, card, base)

    @classmethod
    def open(cls, path: str | Path, base: Base | None = None, *, budget: int | None = None) -> Library:
        """Open a library, for ``base`` or only to look at it.

        Args:
            path: Its folder.
            base: The base that its adapters are for; None: nothing can be loaded or added.
            budget: Most bytes of adapters to keep in memory for directions (see `Shelf`); None: no bound.

        Returns:
            The library; no adapter is read yet.

        Raises:
            ConfigError: ``budget`` is no number of bytes.
            LibraryError: There is none, its card is damaged, or it belongs to another base.
        """
        path = Path(path)
        if not (path / CARD_FILE).is_file():
            raise LibraryError(
                f"`{path}` must be a library, but has no {CARD_FILE}. Make one by adding a language to it."
            )
        card = read_card(Places(path).read(CARD_FILE), path / CARD_FILE, base)
        return cls(path, card, base, budget=budget)

    @classmethod
    def ensure(cls, path: str | Path, base: Base, *, recipe: Recipe | None = None, scope: str = "span") -> Library:
        """Open the library at ``path``, or make it if there is none; an existing one keeps its own recipe and scope."""
        if (Path(path) / CARD_FILE).is_file():
            return cls.open(path, base)
        return cls.create(path, base, recipe=recipe, scope=scope)

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
        pointer = self.pointer(language)
        return self._checked(AdapterName(language, role), pointer.of(role), pointer)

    def manifest(self, language: str, role: Role) -> Manifest:
        """Return the manifest of an installed adapter; its weights are not looked at."""
        version = self.pointer(language).of(role)
        return read_manifest(
            disk.read_file(self.path, (*self.places.parts(language, role), version, MANIFEST), JSON_BYTES)
        )

    def bank(self, languages: Iterable[str] | None = None) -> Bank:
        """Return the adapters of some languages, or of all (errors as in `load`)."""
        chosen = self.languages() if languages is None else tuple(languages)
        return Bank(self.load(language, role) for language in chosen for role in Role)

    def profiles(self, languages: Iterable[str] | None = None) -> dict[str, Profile]:
        """Return the profiles of some languages, or of all; no weights are read (errors as in `load`)."""
        chosen = self.languages() if languages is None else tuple(languages)
        return {language: self._profile(AdapterName(language, Role.TARGET)) for language in chosen}

    def add(self, modules: Mapping[str, LanguageModule]) -> dict[str, Pointer]:
        """Install languages, or install newer adapters of them; each language is all there or as it was.

        All are checked before the first is written. Versions that are replaced stay in the history.

        Args:
            modules: Language code → both adapters.

        Returns:
            The pointers as they are now.

        Raises:
            AdapterError: An adapter does not fit the base, or holds what `load` would refuse.
            LibraryError: A name is no code, adapters act elsewhere than the library's do, another writer
                holds the library, or the disk is full or failed.
        """
        ready = {language: module.encode(language, self.base, self.card.scope) for language, module in modules.items()}
        with self.places.writing(self.patience):
            pointers = {code: self._install(code, files, modules[code].like) for code, files in ready.items()}
        self._base = self._told()
        return pointers

    def remove(self, language: str) -> None:
        """Remove a language with all its versions; the others are untouched.

        Args:
            language: The language's code.

        Raises:
            LibraryError: It isn't installed, another writer holds the library, or the disk failed.
        """
        with self.places.writing(self.patience):
            if not self.places.installed(language):
                self.pointer(language)  # raises
            with disk.reported(self.path):
                disk.remove_file(self.places.pointer_path(language))
            # What these leave behind belongs to no language, and the next writer sweeps it.
            for role in Role:
                disk.discard(self.places.folder(language, role))

    def check_version(self, language: str, role: Role, version: str) -> None:
        """Check one version, current or old (errors as in `load`)."""
        self._checked(AdapterName(language, role), version, self.pointer(language))

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r}, {self.card.base.id}: {', '.join(self.languages()) or 'empty'})"

    def _told(self) -> Base | None:
        return None if self._given is None else with_installed(self._given, self.places)

    def _decode(self, name: AdapterName, version: str) -> Loaded:
        return decode(self._reader(name, version), self.base, name, version)

    def _profile(self, name: AdapterName) -> Profile:
        version = self.pointer(name.language).of(name.role)
        return decode_profile(self._reader(name, version), name, version)

    def _reader(self, name: AdapterName, version: str) -> Read:
        place = (*self.places.parts(*name), version)
        return lambda file, limit: disk.read_file(self.path, (*place, file), limit)

    def _checked(self, name: AdapterName, version: str, pointer: Pointer) -> Loaded:
        """Return a version, about whose token the pointer must say what the version says itself."""
        loaded = self._decode(name, version)
        require_like(pointer, name, version, loaded.manifest.like)
        return loaded

    def _install(self, language: str, files: Mapping[Role, Mapping[str, bytes]], like: str | None) -> Pointer:
        """Write both versions, then the pointer."""
        old = None
        if self.places.installed(language):
            try:
                old = self.pointer(language)
            except LibraryError as error:
                if error.code != "library.damaged":  # what is damaged is mended by adding the language again
                    raise
        new = {role.value: content_hash(files[role]) for role in Role}
        for role in Role:
            self._publish(AdapterName(language, role), new[role.value], files[role])
        if old and (old.source, old.target, old.like) == (new["source"], new["target"], like):
            return old
        history = old.history if old else ()
        if old and (old.source, old.target) != (new["source"], new["target"]):  # else only the pointer was damaged
            history += (Versions(source=old.source, target=old.target, like=old.like),)
        pointer = Pointer(format_version=VERSION, language=language, history=history, like=like, **new)
        with disk.reported(self.path):
            disk.make_folder(self.path / "languages")
            disk.write_file(self.places.pointer_path(language), pointer.to_json())
        return pointer

    def _publish(self, name: AdapterName, version: str, files: Mapping[str, bytes]) -> None:
        """Put a version on disk, unless it lies there intact already."""
        try:
            self._decode(name, version)
        except AdapterError as error:
            if error.code == "adapter.unreadable":
                raise
        else:
            return
        with disk.reported(self.path):
            disk.write_folder(self.places.folder(*name) / version, files)
