"""How the versions of a language come to be the installed ones. All of this runs under the writers' lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lingraft.atoms import ENGLISH, AdapterError, AdapterName, LibraryError, Role
from lingraft.atoms.durable import write_file
from lingraft.library import disk, withdrawn
from lingraft.library.forms import form_of
from lingraft.library.like import require_like
from lingraft.library.manifest import VERSION, Manifest, Pointer, read_manifest
from lingraft.library.places import LANGUAGES
from lingraft.library.refusal import CARD, JSON_BYTES, MANIFEST, PROFILE, refuse
from lingraft.library.validate import content_hash

if TYPE_CHECKING:
    from lingraft.library.reader import Reader

_WEIGHTS = 2**34
"""Most bytes of weights; an intact file was held against its own shapes when it was installed."""


def publish(library: Reader, language: str, files: Mapping[Role, Mapping[str, bytes]]) -> dict[Role, str]:
    """Write both adapters of a language; nobody sees them before ``install``.

    Args:
        library: The library.
        language: The language's code.
        files: Role → files by name, checked.

    Returns:
        Role → version.

    Raises:
        LibraryError: The disk failed.
    """
    versions = {role: content_hash(files[role]) for role in Role}
    for role, version in versions.items():
        _publish(library, AdapterName(language, role), version, files[role])
    return versions


def install(library: Reader, language: str, versions: Mapping[Role, str], like: str | None) -> Pointer:
    """Write the pointer of a language whose adapters are written.

    Args:
        library: The library.
        language: The language's code.
        versions: What ``publish`` returned.
        like: The language whose token it borrows.

    Returns:
        The pointer as it is now; what it named before is in its history.

    Raises:
        LibraryError: The list of withdrawn languages is damaged, or the disk failed.
    """
    old = None
    if not library.places.installed(language):
        withdrawn.forget(library.places, language)  # who adds a language means it to be served
    else:
        try:
            old = library.places.pointer(language)
        except LibraryError as error:
            if error.code != "library.damaged":  # what is damaged is mended by adding the language again
                raise
    new = {role.value: version for role, version in versions.items()}
    if old and (old.source, old.target, old.like) == (new["source"], new["target"], like):
        return old
    history = old.history if old else ()
    if old and (old.source, old.target) != (new["source"], new["target"]):  # else only the pointer was damaged
        history += (old.past(),)
    return _point(library, Pointer(format_version=VERSION, language=language, history=history, like=like, **new))


def go_back(library: Reader, language: str) -> Pointer:
    """Install the versions that a language had before; what is replaced becomes the oldest of its history.

    Args:
        library: The library.
        language: The language's code.

    Returns:
        The pointer as it is now.

    Raises:
        AdapterError: What it had before is damaged.
        LibraryError: It isn't installed, had nothing before, or the disk failed.
    """
    now = library.places.pointer(language)
    before = now.earlier()
    if before is None:
        raise LibraryError(
            f"`{language}` must have been updated to be rolled back, but its first version is installed. "
            "Remove the language if it shall not be used."
        )
    for role in Role:
        name, version = AdapterName(language, role), before.of(role)
        require_like(now, name, version, _intact(library, name, version).like)
    return _point(library, before)


def _intact(library: Reader, name: AdapterName, version: str) -> Manifest:
    """Return the manifest of a version, if its files are those that were checked when it was installed.

    Args:
        library: The library.
        name: Its language and role.
        version: The hash of its content.

    Returns:
        Its manifest.

    Raises:
        AdapterError: A file is missing or was altered.
    """
    read = library.reader(name, version)
    files = {MANIFEST: read(MANIFEST, JSON_BYTES)}
    manifest = read_manifest(files[MANIFEST])
    form = form_of(manifest.packed)
    files |= {each: read(each, JSON_BYTES) for each in (form.config, PROFILE, CARD)}
    files[form.weights] = read(form.weights, _WEIGHTS)
    if content_hash(files) != version or (manifest.language, manifest.role) != name:
        raise refuse(
            "hash", f"the files of {name} must have the content hash {version}, but were altered. Add it again."
        )
    return manifest


def _publish(library: Reader, name: AdapterName, version: str, files: Mapping[str, bytes]) -> None:
    """Put a version on disk, unless it lies there intact already."""
    try:
        library.decoded(name, version)
    except AdapterError as error:
        if error.code == "adapter.unreadable":
            raise
    else:
        return
    with disk.reported(library.path):
        disk.write_folder(library.places.folder(*name) / version, files)


def _point(library: Reader, pointer: Pointer) -> Pointer:
    """Write a pointer in one step; a measurement of what it replaces is dropped.

    English is measured whether or not it has adapters, so that its first ones replace something, too.
    """
    if library.places.installed(pointer.language) or pointer.language == ENGLISH:
        library.places.drop_scores()
    with disk.reported(library.path):
        disk.make_folder(library.path / LANGUAGES)
        write_file(library.places.pointer_path(pointer.language), pointer.to_json())
    return pointer
