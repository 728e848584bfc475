"""Where things lie in a library's folder, the pointers of its languages, and the writers' lock."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

from lingraft.atoms import AdapterError, Direction, LibraryError, Role
from lingraft.atoms.durable import DRAFT
from lingraft.library import disk
from lingraft.library.manifest import CODE, Pointer, read_stored
from lingraft.library.refusal import JSON_BYTES

CARD_FILE = "library.json"
FOLDERS = ADAPTERS, LANGUAGES, RECIPES = "adapters", "languages", "recipes"
"""What a writer changes something in."""
SCORES_FILE = "measurement.json"
"""The last measurement of all that the library offers, made as it is served; see `Places.drop_scores`."""
_VERSION = re.compile(r"[0-9a-f]{16}")


class Places:
    """The layout of a library's folder; only language codes and content hashes become names in it."""

    def __init__(self, path: Path) -> None:
        """Look at the folder ``path``."""
        self.path = path

    def languages(self) -> tuple[str, ...]:
        """Return the codes of the installed languages, sorted."""
        names = (path.stem for path in (self.path / LANGUAGES).glob("*.json"))
        return tuple(sorted(name for name in names if re.fullmatch(CODE, name)))

    def pointer_path(self, language: str) -> Path:
        """Return where a language's pointer lies, installed or not.

        Args:
            language: The language's code.

        Returns:
            The path of its pointer file.

        Raises:
            LibraryError: ``language`` is no code.
        """
        if not re.fullmatch(CODE, language):
            raise LibraryError(f"`language` must be a code such as deu_Latn, but is {language!r:.60} instead.")
        return self.path / LANGUAGES / f"{language}.json"

    def installed(self, language: str) -> bool:
        """Say whether a language has a pointer."""
        return os.path.lexists(self.pointer_path(language))

    def pointer(self, language: str) -> Pointer:
        """Return which versions of a language are installed.

        Args:
            language: The language's code.

        Returns:
            Its pointer: the installed versions and those before them.

        Raises:
            LibraryError: The language isn't installed, or its pointer is damaged.
        """
        place = self.pointer_path(language)
        if not self.installed(language):
            raise LibraryError(
                f"`{language}` must be a language of {self.path}, but is none. "
                f"Installed are: {', '.join(self.languages()) or 'none yet'}."
            )
        pointer = read_stored(Pointer, self.read(LANGUAGES, place.name), str(place))
        if pointer.language != language:
            failure = LibraryError(f"`{place}` must be of {language}, but is of {pointer.language}. Add it again.")
            failure.code = "library.damaged"
            raise failure
        return pointer

    def parts(self, language: str, role: Role) -> tuple[str, str]:
        """Return the names that lead to the versions of an adapter."""
        self.pointer_path(language)
        return ADAPTERS, f"{language}.{role.value}"

    def folder(self, language: str, role: Role) -> Path:
        """Return the folder of an adapter's versions."""
        return self.path.joinpath(*self.parts(language, role))

    def versions(self, language: str, role: Role) -> tuple[str, ...]:
        """Return the versions of an adapter that lie on disk, whether or not a pointer names them."""
        folder = self.folder(language, role)
        if not disk.is_plain_folder(folder):
            return ()
        return tuple(sorted(each.name for each in folder.iterdir() if _VERSION.fullmatch(each.name)))

    def read(self, *parts: str) -> bytearray:
        """Return one of the library's own small files.

        Args:
            *parts: The names that lead to it from the library's folder.

        Returns:
            Its bytes.

        Raises:
            LibraryError: It is missing, a link, too large, or cannot be read.
        """
        try:
            return disk.read_file(self.path, parts, JSON_BYTES)
        except AdapterError as error:
            failure = LibraryError(str(error))
            failure.code = "library.unreadable" if error.code == "adapter.unreadable" else "library.damaged"
            raise failure from None

    def adapters(self) -> list[tuple[str, Role]]:
        """Return the language and role of every adapter folder."""
        found = []
        for folder in (self.path / ADAPTERS).glob("*.*"):
            language, _, role = folder.name.partition(".")
            if re.fullmatch(CODE, language) and role in list(Role) and disk.is_plain_folder(folder):
                found.append((language, Role(role)))
        return sorted(found)

    def recipes(self, language: str) -> list[Path]:
        """Return the files that say how single directions from or into a language are made."""
        return [path for path, direction in self.directions().items() if language in direction]

    def directions(self) -> dict[Path, Direction]:
        """Return the files that say how single directions are made; other recipes may have any name beside them."""
        found = {}
        for path in sorted((self.path / RECIPES).glob("*-*.yaml")):
            direction = Direction(*path.stem.split("-", 1))
            if all(re.fullmatch(CODE, code) for code in direction) and direction.source != direction.target:
                found[path] = direction
        return found

    def drop_scores(self) -> None:
        """Remove the last measurement, if there is one: it was of other adapters, or of a direction made otherwise.

        Whoever changes one of these calls it first, under the writers' lock, so that old scores never stand beside what
        is new. A language that is added leaves them: none of the directions that were measured is another now.

        Raises:
            LibraryError: The disk failed.
        """
        path = self.path / SCORES_FILE
        with disk.reported(path), contextlib.suppress(FileNotFoundError):
            disk.remove_file(path)

    def marks(self) -> dict[str, str]:
        """Return what decides how directions are made now, each file by a hash: pointers and stored recipes.

        Returns:
            Name in the library's folder → sha256 of the file; what vanished meanwhile is left out.
        """
        files = [*(self.path / LANGUAGES).glob("*.json"), *(self.path / RECIPES).glob("*.yaml")]
        found = {}
        for path in sorted(files):
            with contextlib.suppress(LibraryError):
                data = self.read(path.parent.name, path.name)
                found[f"{path.parent.name}/{path.name}"] = hashlib.sha256(data).hexdigest()
        return found

    def orphans(self, language: str, role: Role) -> set[str]:
        """Return the versions on disk that the pointer does not name; none where the pointer is damaged."""
        named: set[str] = set()
        if self.installed(language):
            try:
                named = self.pointer(language).versions(role)
            except LibraryError:
                return set()  # a damaged pointer must not cost what it pointed to
        return set(self.versions(language, role)) - named

    def drafts(self) -> list[Path]:
        """Return what writers have not finished: some are at work, or were stopped."""
        folders = [self.path, *(self.path / name for name in (LANGUAGES, RECIPES))]
        folders += [self.folder(*adapter) for adapter in self.adapters()]
        return sorted(draft for folder in folders for draft in folder.glob(f"{DRAFT}*"))

    @contextlib.contextmanager
    def writing(self, patience: float) -> Iterator[None]:
        """Hold the writers' lock, and clear away what killed writers left.

        Args:
            patience: Seconds to wait for another writer.

        Raises:
            LibraryError: Another writer holds the lock for longer, a link leads out of the library, or the disk
                failed.
        """
        lock = filelock.FileLock(self.path / ".lock")
        with disk.reported(self.path):
            try:
                lock.acquire(timeout=patience)
            except filelock.Timeout:  # an OSError, but the disk is well
                error = LibraryError(
                    f"`{self.path}` must be free for a writer, but another has held it for {patience:g} s. Try later."
                )
                error.code = "library.busy"
                raise error from None
        try:
            self._require_own()
            with disk.reported(self.path):
                self._sweep()
            yield
        finally:
            lock.release()

    def _require_own(self) -> None:
        """Check that what is written and swept is in the library itself, and not another's that a link leads to."""
        for folder in (self.path / name for name in FOLDERS):
            if os.path.lexists(folder) and not disk.is_plain_folder(folder):
                error = LibraryError(
                    f"`{folder}` must be a folder of the library itself, but is a link or a file. Put the folder there."
                )
                error.code = "library.damaged"
                raise error

    def _sweep(self) -> None:
        """Remove drafts, and versions that no pointer names: their writer was killed before its last step."""
        for draft in self.drafts():
            disk.discard(draft)
        for language, role in self.adapters():
            for version in self.orphans(language, role):
                disk.discard(self.folder(language, role) / version)


class PinnedPlaces(Places):
    """The layout of a library with the pointers of one moment, whatever is installed later; for reading."""

    def __init__(self, path: Path, pointers: Mapping[str, Pointer]) -> None:
        """Look at the folder ``path`` with the languages of ``pointers`` alone."""
        super().__init__(path)
        self.pointers = dict(pointers)

    def languages(self) -> tuple[str, ...]:
        """Return the codes of the pinned languages, sorted."""
        return tuple(sorted(self.pointers))

    def installed(self, language: str) -> bool:
        """Say whether a language is pinned."""
        self.pointer_path(language)  # raises where it is no code
        return language in self.pointers

    def pointer(self, language: str) -> Pointer:
        """Return the pinned pointer of a language.

        Args:
            language: The language's code.

        Returns:
            Its pointer.

        Raises:
            LibraryError: None is pinned.
        """
        if not self.installed(language):
            raise LibraryError(
                f"`{language}` must be a language in use of {self.path}, but is none. "
                f"In use are: {', '.join(self.languages()) or 'none yet'}."
            )
        return self.pointers[language]

    @contextlib.contextmanager
    def writing(self, patience: float) -> Iterator[None]:
        """Refuse: what was pinned is for reading.

        Args:
            patience: Not used.

        Yields:
            Never.

        Raises:
            LibraryError: Always.
        """
        raise LibraryError(f"`{self.path}` must be opened anew to be written, but is looked at as it was once.")
        yield
