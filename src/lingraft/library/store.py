"""The library: a folder of language modules that is always readable and always whole.

A version of an adapter is a folder named by the hash of its content and never written to again. A small
pointer file per language says which versions are installed, and is replaced last, in one step. So a
reader needs no lock, a killed writer leaves the old state or the new one, and adding a language touches
no file of another.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

from lingraft.atoms import LibraryError, Role
from lingraft.atoms.durable import write_file
from lingraft.base import Base
from lingraft.direction.recipe import Recipe
from lingraft.library import disk, installing, withdrawn
from lingraft.library.library_card import new_card, read_card
from lingraft.library.manifest import Pointer
from lingraft.library.module import LanguageModule
from lingraft.library.places import CARD_FILE, PinnedPlaces, Places
from lingraft.library.reader import PATIENCE, Reader


class Library(Reader):
    """A library on disk, opened for one base (or for none, to look at it only)."""

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
                write_file(path / CARD_FILE, card.to_json())
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
        card = Path(path) / CARD_FILE
        if not card.is_file():
            try:
                return cls.create(path, base, recipe=recipe, scope=scope)
            except LibraryError:
                if not card.is_file():
                    raise  # else another writer has made it in the meantime
        return cls.open(path, base)

    def add(self, modules: Mapping[str, LanguageModule]) -> dict[str, Pointer]:
        """Install languages, or install newer adapters of them; each language is all there or as it was.

        All are checked before the first is written, and all adapters are written before the first is installed: a disk
        that is full installs none. Versions that are replaced stay in the history.

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
            written = {code: installing.publish(self, code, files) for code, files in ready.items()}
            pointers = {
                code: installing.install(self, code, versions, modules[code].like) for code, versions in written.items()
            }
        self._base = self._told()
        return pointers

    def remove(self, language: str) -> None:
        """Remove a language with all its versions, and how its directions are made; the others are untouched.

        A measurement of it is dropped: the language may come back with other adapters.
        A second call finishes one that was killed.

        Args:
            language: The language's code.

        Raises:
            LibraryError: It isn't installed, another writer holds the library, or the disk failed.
        """
        with self.places.writing(self.patience):
            recipes = self.places.recipes(language)
            if not self.places.installed(language) and not recipes:
                self.pointer(language)  # raises
            self.places.drop_scores()
            with disk.reported(self.path):
                if self.places.installed(language):
                    disk.remove_file(self.places.pointer_path(language))
                # What these leave behind belongs to no language, and the next writer sweeps it.
                for role in Role:
                    disk.discard(self.places.folder(language, role))
                for path in recipes:
                    disk.remove_file(path)
            withdrawn.forget(self.places, language)

    def rollback(self, language: str) -> Pointer:
        """Go back to the versions that a language had before; the others are untouched.

        Nothing is lost: what is replaced becomes the oldest of the history, so that going back as often as there
        are versions leads to where one was.

        Args:
            language: The language's code.

        Returns:
            The pointer as it is now.

        Raises:
            AdapterError: What it had before is damaged; nothing is changed then.
            LibraryError: It isn't installed or had nothing before, another writer holds the library, or the disk
                failed.
        """
        with self.places.writing(self.patience):
            pointer = installing.go_back(self, language)
        self._base = self._told()
        return pointer

    def at(self, pointers: Mapping[str, Pointer]) -> Library:
        """Return the library as it is with these languages at these versions, whatever is installed later.

        It is for reading, and shares the adapters in memory with this one.

        Args:
            pointers: Language → its pointer, of this library.

        Returns:
            A library in which exactly those are installed.
        """
        view = copy.copy(self)
        view.places = PinnedPlaces(self.path, pointers)
        view._base = view._told()
        return view
