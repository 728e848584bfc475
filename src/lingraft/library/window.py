"""What a plan says of rows that are longer than the base's context, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable

from lingraft.atoms import ENGLISH, Direction
from lingraft.atoms.languages import name
from lingraft.base import Base
from lingraft.corpus import Pairs
from lingraft.fit.fresh import none_fits, too_long


def left_out(base: Base, corpus: Iterable[Pairs], what: str = "rows") -> list[str]:
    """Return how many rows of each text training will leave out, because the base cannot read them.

    Args:
        base: The base.
        corpus: Texts that are trained, or judged on, in both directions.
        what: Their rows, as a line names them.

    Returns:
        A line for each text of which some are left out.

    Raises:
        DataError: If all of a text would be, in one of its directions.
    """
    lines = []
    for pairs in corpus:
        counts = [too_long(base, Direction(*way), pairs) for way in ((pairs.a, pairs.b), (pairs.b, pairs.a))]
        fewest, most = sorted(counts)
        if most == len(pairs):
            raise none_fits(base, what, pairs.origin)
        if most:
            # The prompt of one direction may be longer than that of the other.
            count = f"{most}" if fewest == most else f"{fewest} to {most}"
            languages = [name(language) for language in (pairs.a, pairs.b) if language != ENGLISH]
            lines.append(
                f"{count} of {len(pairs)} {what} of {' and '.join(languages)} are longer than the base's "
                f"{base.context} tokens and are left out"
            )
    return lines
