"""How an answer is put together, and what is said of languages that change or are damaged."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from lingraft.atoms import ENGLISH, ConfigError, Direction, LibraryError, Role
from lingraft.atoms.languages import name
from lingraft.direction.sentences import Pieces, join
from lingraft.library import Library, Pointer
from lingraft.library.mixing import DEFAULT, stored, stored_directions
from lingraft.library.withdrawn import restore, withdraw
from lingraft.serve import logs
from lingraft.serve.answers import Answer
from lingraft.serve.queue import Done
from lingraft.serve.versions import Served, Way


def require_positive(**numbers: float | None) -> None:
    """Refuse numbers that are not above 0, all together.

    Args:
        **numbers: By name; None is no number.

    Raises:
        ConfigError: One of them isn't.
    """
    given = {key: value for key, value in numbers.items() if value is not None}
    if wrong := [f"`{key}` must be above 0, but is {value} instead." for key, value in given.items() if value <= 0]:
        raise ConfigError("\n".join(wrong))


def assemble(way: Way, pieces: Sequence[Pieces], done: Done) -> Answer:
    """Join the translations of sentences to those of the texts that they are of.

    Args:
        way: How they were made.
        pieces: The parts of each text.
        done: For each sentence of all texts its translations, the likeliest first.

    Returns:
        The answer. The k-th alternative of a text is made of the k-th ones of its sentences; where a sentence has
        fewer, of its last.
    """
    left = iter(done)
    ranked: list[list[str]] = []
    for parts in pieces:
        found = {position: next(left) for position, _ in parts.sentences()}
        depth = max(map(len, found.values()), default=1)
        chosen = [{i: each[min(rank, len(each) - 1)] for i, each in found.items()} for rank in range(depth)]
        ranked.append(list(dict.fromkeys(join(parts, each, way.direction.target) for each in chosen)))
    return Answer(
        tuple(texts[0] for texts in ranked), tuple(tuple(texts[1:]) for texts in ranked), way.versions, way.via
    )


def canaries(language: str, served: Served) -> list[Direction]:
    """Return directions that use both adapters of a language."""
    other = ENGLISH if language != ENGLISH else next((code for code in served.offered if code != ENGLISH), None)
    return [Direction(language, other), Direction(other, language)] if other else []


def inspect(served: Served) -> None:
    """Log what is damaged on disk, so that an operator learns of it before a client does.

    Args:
        served: What is served; its damaged languages are noted in it.
    """
    tell_recipes(served.library)
    for language, why in list(served.broken.items()):
        logs.write("broken", level=logging.ERROR, language=language, detail=why)
    tell_damaged(served, served.pointers)


def tell_recipes(library: Library) -> None:
    """Log which stored recipes can't be used."""
    for look in (partial(stored, library, DEFAULT), partial(stored_directions, library)):
        try:
            look()
        except (ConfigError, LibraryError) as error:
            logs.write("broken", level=logging.ERROR, recipe=str(error))


def tell_damaged(served: Served, languages: Iterable[str]) -> None:
    """Log which of some languages are damaged, of those that nobody knew of."""
    for language, why in served.inspect(languages).items():
        logs.write("broken", level=logging.ERROR, language=language, detail=why)


def without_removed(served: Served) -> Served:
    """Return what is served without the languages that somebody has removed from the library, and log them.

    Args:
        served: What is served.

    Returns:
        The same without them; ``served`` itself where there are none.
    """
    removed = served.removed()
    for language in sorted(removed):
        logs.write("removed", level=logging.WARNING, language=language)
    return served.without(removed) if removed else served


def keep_withdrawn(library: Library, language: str, out: bool) -> bool:
    """Write down that a language is taken out, or in again, for when the service is started anew.

    Args:
        library: The library.
        language: The language's code.
        out: Whether it is taken out.

    Returns:
        Whether it could be written; a library may be mounted for reading only.
    """
    try:
        (withdraw if out else restore)(library.places, language, library.patience)
    except LibraryError as error:
        logs.write("not kept", level=logging.ERROR, language=language, detail=str(error))
        return False
    return True


def report(language: str, now: Pointer | None, before: Pointer | None, lasting: bool = True) -> dict[str, Any]:
    """Return what was done to a language.

    Args:
        language: The language's code.
        now: What is served of it; None: nothing.
        before: The same before.
        lasting: Whether it will be so after a restart.

    Returns:
        Names, versions, and whether anything changed.
    """

    def versions(pointer: Pointer | None) -> dict[str, str] | None:
        return None if pointer is None else {role.value: pointer.of(role) for role in Role}

    return {
        "language": language,
        "name": name(language),
        "versions": versions(now),
        "before": versions(before),
        "history": 0 if now is None else len(now.history),
        "changed": now != before,
        "lasting": lasting,
    }
