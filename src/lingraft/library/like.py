"""Languages that the base's tokenizer has no token for: whose token they borrow."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from lingraft.atoms import AdapterName, LanguageError, LibraryError
from lingraft.atoms.languages import name, parse
from lingraft.base import Base
from lingraft.library.manifest import Pointer
from lingraft.library.places import Places


def read_like(words: Sequence[str], languages: Sequence[str]) -> dict[str, str]:
    """Return what ``--like`` says.

    Args:
        words: ``LANGUAGE=RELATIVE``, or ``RELATIVE`` alone where there is one language; codes or names.
        languages: The codes of the languages that are added.

    Returns:
        Language → relative.

    Raises:
        LanguageError: A word names no language of these, or two relatives for one.
    """
    found: dict[str, str] = {}
    for word in words:
        language, equals, relative = word.rpartition("=")
        if not equals and len(languages) != 1:
            raise LanguageError(
                f"`--like` must say for which of {len(languages)} languages it is, but is {word!r:.60} instead. "
                f"Write e.g. --like {languages[0]}={word:.40}."
            )
        code = parse(language) if equals else languages[0]
        if code in found:
            raise LanguageError(f"`--like` must name one relative of {code}, but names two. Leave one out.")
        found[code] = parse(relative)
    return found


def borrow(base: Base, like: Mapping[str, str], languages: Sequence[str]) -> Base:
    """Return the base with some of the languages that are added named by a relative's token.

    Args:
        base: The base.
        like: Language → relative.
        languages: The codes of the languages that are added.

    Returns:
        The base, told so.

    Raises:
        LanguageError: A language is not among them or has a token of its own, or a relative has none.
    """
    if strange := sorted(set(like) - set(languages)):
        raise LanguageError(
            f"`like` must be about languages that are added ({', '.join(languages)}), but is about "
            f"{', '.join(strange)} instead. Leave it out."
        )
    return base.borrowing(like)


def with_installed(base: Base, places: Places) -> Base:
    """Return the base with the languages of a library named as their adapters were trained.

    Args:
        base: The base that the library is for.
        places: The library's folder.

    Returns:
        The base, told so.
    """
    if base.family.kind == "decoder":  # it is told of languages by name
        return base
    found = {}
    for language in places.languages():
        # What is damaged is refused when that language's adapters are loaded; the others can be used.
        with contextlib.suppress(LibraryError, LanguageError):
            if like := places.pointer(language).like:
                base.borrowing({language: like})  # tried alone, but all are told at once: a base is not made for each
                found[language] = like
    return base.borrowing(found) if found else base


def require_like(pointer: Pointer, name: AdapterName, version: str, like: str | None) -> None:
    """Check that a pointer says of a version whose token it borrows: else the base is told of another language.

    Args:
        pointer: The pointer of the language.
        name: The adapter.
        version: Its version.
        like: What the version says itself.

    Raises:
        LibraryError: The pointer says something else.
    """
    if pointer.likes(name.role, version) != {like}:
        failure = LibraryError(
            f"`like` in the pointer of {name.language} must be {like or 'absent'}, as its adapters say, but is "
            f"{pointer.like or 'absent'} instead. Add the language again."
        )
        failure.code = "library.damaged"
        raise failure


def require_named(base: Base, language: str) -> None:
    """Check that a base can be told of a language.

    Args:
        base: The base.
        language: The code.

    Raises:
        LanguageError: If its format can't name the language.
    """
    if not base.format.knows(language):
        base.token(language)  # raises


def token_parameters(base: Base, adapter: AdapterName) -> int:
    """Return the number of trained values of an adapter's token: 0 where the base has one for its language."""
    if adapter.language not in base.borrowed:
        return 0
    return int(base.model.get_submodule(base.embedding(adapter.role)).weight.shape[1])


def describe(base: Base, languages: Sequence[str]) -> list[str]:
    """Return a line for a plan about each of some languages that borrows a token."""
    return [
        f"token     {name(language)} has none in the base: it starts as that of {name(base.borrowed[language])} and is "
        "trained with the adapters"
        for language in languages
        if language in base.borrowed
    ]
