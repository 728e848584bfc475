"""How an answer is put together, and what is said of a change of languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lingraft.atoms import ENGLISH, Direction, Role
from lingraft.atoms.languages import name
from lingraft.direction.sentences import Pieces, join
from lingraft.library import Pointer
from lingraft.serve.answers import Answer
from lingraft.serve.queue import Done
from lingraft.serve.versions import Served, Way


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
        texts = [join(parts, {i: each[min(rank, len(each) - 1)] for i, each in found.items()}) for rank in range(depth)]
        ranked.append(list(dict.fromkeys(texts)))
    return Answer(
        tuple(texts[0] for texts in ranked), tuple(tuple(texts[1:]) for texts in ranked), way.versions, way.via
    )


def canaries(language: str, served: Served) -> list[Direction]:
    """Return directions that use both adapters of a language."""
    other = ENGLISH if language != ENGLISH else next((code for code in served.offered if code != ENGLISH), None)
    return [Direction(language, other), Direction(other, language)] if other else []


def report(language: str, now: Pointer | None, before: Pointer | None) -> dict[str, Any]:
    """Return what was done to a language that is served as ``now`` and was as ``before``; None: not at all."""

    def versions(pointer: Pointer | None) -> dict[str, str] | None:
        return None if pointer is None else {role.value: pointer.of(role) for role in Role}

    return {
        "language": language,
        "name": name(language),
        "versions": versions(now),
        "before": versions(before),
        "history": 0 if now is None else len(now.history),
        "changed": now != before,
    }
