"""From a library to routes: which directions it offers, and the adapters they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lingraft.atoms import ENGLISH, Direction, LibraryError, Role
from lingraft.atoms.languages import name
from lingraft.delta import Bank, Route
from lingraft.direction import Recipe, route
from lingraft.library.manifest import Pointer
from lingraft.library.store import Library


def offered(library: Library) -> tuple[str, ...]:
    """Return the languages a library can translate: installed ones, English, and those its base knows."""
    return tuple(sorted({*library.languages(), ENGLISH, *library.base.languages}))


def router(
    library: Library, directions: Sequence[Direction], recipe: Recipe | None = None
) -> Callable[[Direction], Route]:
    """Return the function from direction to route, for some directions whose adapters are checked first.

    No other adapter is read. Those that are stay in the library's memory as its budget allows, and are read again
    where it does not; each route holds what it needs for as long as it is there. The versions are those installed
    now, whatever is added later.

    Args:
        library: A library with its base.
        directions: What will be asked for.
        recipe: The weights of the roles; None: the library's own.

    Returns:
        A function to give to ``attach``; it refuses languages that are in none of ``directions``.

    Raises:
        AdapterError: If an adapter is damaged.
        LibraryError: If a language is neither installed nor known to the base.
    """
    asked = {language for direction in directions for language in direction}
    pointers = _pointers(library, asked)
    mix = recipe or library.recipe
    for language, role in sorted({side for direction in directions for side in _sides(direction)}):
        if language in pointers:
            library.adapter(pointers[language], role)

    def find(direction: Direction) -> Route:
        if strange := sorted(set(direction) - asked):
            raise LibraryError(
                f"{direction} must be of languages that the router was made for, but {strange[0]} is none of them. "
                "Name its direction when making the router."
            )
        sides = [side for side in _sides(direction) if side[0] in pointers]
        return route(Bank(library.adapter(pointers[language], role) for language, role in sides), mix, direction)

    return find


def _pointers(library: Library, asked: Iterable[str]) -> dict[str, Pointer]:
    """Return the pointers of those languages that are installed; the base must know the others."""
    pointers = {}
    for language in sorted(asked):
        if library.places.installed(language):
            pointers[language] = library.pointer(language)
        elif language not in (ENGLISH, *library.base.languages):
            raise LibraryError(
                f"{name(language)} ({language}) must be in the library or known to its base, but is in neither. "
                f"They offer {', '.join(offered(library))}. Add it with `lingraft add {language} …`."
            )
    return pointers


def _sides(direction: Direction) -> tuple[tuple[str, Role], tuple[str, Role]]:
    """Return which adapters a direction may need."""
    return (direction.source, Role.SOURCE), (direction.target, Role.TARGET)
