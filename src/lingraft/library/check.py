"""Look over a whole library and say everything that is wrong with it; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lingraft.atoms import LingraftError, Role
from lingraft.base import Base
from lingraft.library.mixing import overlooked, stored
from lingraft.library.places import ADAPTERS, RECIPES, Places
from lingraft.library.store import Library
from lingraft.library.withdrawn import withdrawn


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or merely worth knowing."""

    severe: bool
    """Whether a direction cannot be used for it."""
    place: str
    """The language, adapter or version that it is about."""
    code: str
    """Stable and machine-readable."""
    message: str


def check(library: Library, base: Base) -> list[Finding]:
    """Check every pointer and every version of every adapter, old ones too.

    Args:
        library: The library, opened with or without a base.
        base: The base that it should belong to.

    Returns:
        What was found, language by language; empty where all is well.
    """
    try:
        opened = Library.open(library.path, base)
    except LingraftError as error:
        return [Finding(True, str(library.path), error.code, str(error))]
    findings = []
    for language in opened.languages():
        findings += _check_language(opened, language)
    for language, role in opened.places.adapters():
        findings += [
            Finding(False, f"{language}.{role.value}/{version}", "library.orphan",
                    "no pointer names this version. The next change of the library removes it.")
            for version in sorted(opened.places.orphans(language, role))
        ]  # fmt: skip
    return [*findings, *_settings(opened), *_strange(opened.places), *_drafts(opened.places)]


def _check_language(library: Library, language: str) -> list[Finding]:
    try:
        pointer = library.pointer(language)
    except LingraftError as error:
        return [Finding(True, language, error.code, str(error))]
    findings = []
    for role in Role:
        for version in sorted(pointer.versions(role)):
            try:
                library.check_version(language, role, version)
            except LingraftError as error:
                current = version == pointer.of(role)
                findings.append(Finding(current, f"{language}.{role.value}/{version}", error.code, str(error)))
    return findings


def _settings(library: Library) -> Iterator[Finding]:
    """Yield what is wrong with the files that say how directions are made and which languages are not served."""
    for path in sorted((library.path / RECIPES).glob("*.yaml")):
        try:
            made = stored(library, path.stem)
            if made is not None and made.recipe is not None:
                made.recipe.check(library.base.sites)
        except LingraftError as error:
            yield Finding(True, f"{RECIPES}/{path.name}", error.code, str(error))
    for file, wrong in overlooked(library).items():
        yield Finding(False, f"{RECIPES}/{file}", "library.strange", f"this is not followed: its name {wrong}.")
    try:
        withdrawn(library.places)
    except LingraftError as error:
        yield Finding(True, "withdrawn", error.code, str(error))


def _strange(places: Places) -> Iterator[Finding]:
    known = {".".join((language, role.value)) for language, role in places.adapters()}
    for path in sorted((places.path / ADAPTERS).glob("*")):
        if path.name not in known:
            message = "this is no adapter of the library, and nobody looks at it. Move it elsewhere."
            yield Finding(False, f"{ADAPTERS}/{path.name}", "library.strange", message)


def _drafts(places: Places) -> list[Finding]:
    return [
        Finding(False, str(path.relative_to(places.path)), "library.draft",
                "a writer was stopped here. The next change of the library removes it.")
        for path in places.drafts()
    ]  # fmt: skip
