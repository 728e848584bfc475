"""From a library to routes: which directions it offers, and the adapters they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lingraft.atoms import ENGLISH, Direction, LibraryError
from lingraft.atoms.languages import name
from lingraft.delta import Route
from lingraft.direction import Recipe, route
from lingraft.library.store import Library


def offered(library: Library) -> tuple[str, ...]:
    """Return the languages a library can translate: installed ones, English, and those its base knows."""
    return tuple(sorted({*library.languages(), ENGLISH, *library.base.languages}))


def router(
    library: Library, directions: Sequence[Direction], recipe: Recipe | None = None
) -> Callable[[Direction], Route]:
    """Load the adapters that some directions need and return the function from direction to route.

    Args:
        library: A library with its base.
        directions: What will be asked for.
        recipe: The weights of the roles; None: the library's own.

    Returns:
        A function to give to ``attach``.

    Raises:
        LibraryError: If a language is neither installed nor known to the base.
    """
    known = offered(library)
    for language in sorted({language for direction in directions for language in direction}):
        if language not in known:
            raise LibraryError(
                f"{name(language)} ({language}) must be in the library or known to its base, but is in neither. "
                f"They offer {', '.join(known)}. Add it with `lingraft add {language} …`."
            )
    wanted = {language for direction in directions for language in direction}
    bank = library.bank([language for language in library.languages() if language in wanted])
    mix = recipe or library.recipe
    return lambda direction: route(bank, mix, direction)
