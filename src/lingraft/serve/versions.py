"""Which versions are served: a picture of the library that never changes, and the ways through it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

from lingraft.atoms import AdapterError, ConfigError, Direction, LanguageError, LibraryError, Role
from lingraft.base import Base
from lingraft.delta import Route
from lingraft.library import Library, Pointer
from lingraft.library.places import LANGUAGES, Places
from lingraft.library.using import offered, router, steps, usual_via
from lingraft.library.withdrawn import withdrawn
from lingraft.serve.answers import BASE, DIRECT, PIVOT

WAYS = 256
"""How many ways are remembered, the latest ones."""
MISSING = "adapter.missing"
"""The code of an error: a file of an adapter is not there."""


@dataclass(frozen=True, eq=False)
class Leg:
    """One pass through the model."""

    direction: Direction
    base: Base
    """Told of the languages as their adapters at that time were trained."""
    route: Route


@dataclass(frozen=True, eq=False)
class Way:
    """How a direction is translated: one leg, or two through English. It keeps its adapters in memory."""

    direction: Direction
    legs: tuple[Leg, ...]
    versions: Mapping[str, str]
    """Adapter (``deu_Latn.source``) → content hash."""
    via: str
    failed: dict[Direction, str]
    """Directions that the model failed on, of all that are served: they are refused until other versions are."""


class Served:
    """The languages at the versions that are served; an update makes another one of it. Any thread may ask."""

    def __init__(
        self, library: Library, pointers: Mapping[str, Pointer], broken: Mapping[str, str], out: frozenset[str]
    ) -> None:
        """Take a picture.

        Args:
            library: The library with its base.
            pointers: Language → the versions to serve.
            broken: Language on disk that can't be served, or not in all directions → why.
            out: Languages on disk that an operator has taken out.
        """
        self.pointers = MappingProxyType(dict(pointers))
        self.broken = dict(broken)
        """More of them may be found while the picture is used; see `inspect`."""
        self.withdrawn = out
        self.library = library.at(pointers)
        self.offered = offered(self.library)
        self.failed: dict[Direction, str] = {}
        """Directions that the model failed on, and why."""
        self._ways: OrderedDict[tuple[Direction, str | None], Way] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, library: Library) -> Served:
        """Return what is on disk now, without what was taken out; a language whose pointer is damaged is left out.

        Args:
            library: The library with its base.

        Returns:
            The picture.

        Raises:
            LibraryError: The list of what was taken out is damaged.
        """
        there = library.languages()
        out = withdrawn(library.places).intersection(there)
        pointers, broken = {}, {}
        for language in there:
            if language in out:
                continue
            try:
                pointers[language] = library.pointer(language)
            except LibraryError as error:
                broken[language] = str(error)
        return cls(library, pointers, broken, out)

    def having(self, language: str, pointer: Pointer | None) -> Served:
        """Return the same with another version of one language; None: it is taken out."""
        pointers = {code: each for code, each in self.pointers.items() if code != language}
        broken = {code: why for code, why in self.broken.items() if code != language}
        out = self.withdrawn - {language} if pointer else self.withdrawn | {language}
        return Served(self.library, {**pointers, **({language: pointer} if pointer else {})}, broken, out)

    def removed(self) -> frozenset[str]:
        """Return which of the languages that are served have left the library on disk.

        Returns:
            Their codes; none where the library itself is away, as one on a disk that was unmounted.
        """
        places = Places(self.library.path)
        if not (places.path / LANGUAGES).is_dir():
            return frozenset()
        return frozenset(language for language in self.pointers if not places.installed(language))

    def without(self, removed: frozenset[str]) -> Served:
        """Return the same without languages that have left the library."""
        pointers = {code: each for code, each in self.pointers.items() if code not in removed}
        broken = {code: why for code, why in self.broken.items() if code not in removed}
        return Served(self.library, pointers, broken, self.withdrawn - removed)

    def inspect(self, languages: Iterable[str]) -> dict[str, str]:
        """Look at the files of languages, and note those that are damaged; nothing is kept in memory.

        Args:
            languages: Codes; those that are not served, or have left the library, are passed over.

        Returns:
            What was found that was not known: language → what is wrong.
        """
        found: dict[str, str] = {}
        for language, role in product(languages, Role):
            if language in self.pointers and language not in self.broken:
                try:
                    self.library.check_version(language, role, self.pointers[language].of(role))
                except (AdapterError, LibraryError) as error:
                    if error.code == MISSING and language in self.removed():
                        continue
                    found[language] = self.broken[language] = f"{language}.{role}: {error}"
        return found

    def way(self, direction: Direction, via: str | None = None) -> Way:
        """Return how a direction is translated; its adapters are read where they are not in memory.

        Args:
            direction: The pair of languages.
            via: ``direct`` or ``pivot``; None: see `usual_via`.

        Returns:
            The way, the same for everyone who asks while it is remembered.

        Raises:
            AdapterError: An adapter is damaged.
            ConfigError: ``via`` is neither, or what is stored for the direction can't be used.
            LanguageError: Both languages are the same.
            LibraryError: A language is not served.
        """
        key = (direction, via)
        with self._lock:
            if key in self._ways:
                self._ways.move_to_end(key)
                return self._ways[key]
        made = self._way(direction, via)
        with self._lock:
            made = self._ways.setdefault(key, made)
            if len(self._ways) > WAYS:
                self._ways.popitem(last=False)
            self._make_room()
        return made

    def _way(self, direction: Direction, via: str | None) -> Way:
        if direction.source == direction.target:
            raise LanguageError(f"`direction` must have two languages, but is {direction}. Choose another target.")
        if via not in (None, DIRECT, PIVOT):
            raise ConfigError(f"`via` must be {DIRECT} or {PIVOT}, but is {via!r:.40} instead.")
        sides = steps(direction, via or usual_via(self.library, direction))
        routes = router(self.library, sides)
        legs = tuple(Leg(side, self.library.base, routes(side)) for side in sides)
        versions = {
            f"{language}.{role.value}": self.pointers[language].of(role)
            for side in sides
            for language, role in zip(side, Role, strict=True)
            if language in self.pointers
        }
        how = PIVOT if len(legs) == 2 else DIRECT if versions else BASE
        return Way(direction, legs, MappingProxyType(versions), how, self.failed)

    def _make_room(self) -> None:
        """Forget ways until the adapters that they keep fit into the memory they may take."""
        shelf = self.library.shelf
        while shelf.budget is not None and self._ways and shelf.usage().bytes > shelf.budget:
            self._ways.popitem(last=False)
            shelf.trim()
