"""From a library to routes: which directions it offers, and the adapters they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lingraft.atoms import ENGLISH, Direction, LibraryError, Role
from lingraft.atoms.languages import name
from lingraft.delta import Bank, Route
from lingraft.direction import Recipe
from lingraft.library.manifest import Pointer
from lingraft.library.mixing import Mixing, mixing
from lingraft.library.store import Library


def offered(library: Library) -> tuple[str, ...]:
    """Return the languages a library can translate: installed ones, English, and those its base knows."""
    return tuple(sorted({*library.languages(), ENGLISH, *library.base.languages}))


def router(
    library: Library, directions: Sequence[Direction], recipe: Recipe | Mixing | None = None
) -> Callable[[Direction], Route]:
    """Return the function from direction to route, for some directions whose adapters are checked first.

    No other adapter is read. Those that are stay in the library's memory as its budget allows, and are read again
    where it does not; each route holds what it needs for as long as it is there. The versions are those installed
    now, whatever is added later.

    Args:
        library: A library with its base.
        directions: What will be asked for.
        recipe: How all of them are made; None: as the library has stored it (`library.mixing`).

    Returns:
        A function to give to ``attach``; it refuses languages that are in none of ``directions``.

    Raises:
        AdapterError: If an adapter is damaged.
        ConfigError: If a stored mixing is malformed, or names what the base does not have.
        LibraryError: If a language is neither installed nor known to the base.
    """
    asked = {language for direction in directions for language in direction}
    pointers = _pointers(library, asked)
    same = Mixing(recipe) if isinstance(recipe, Recipe) else recipe
    mixings: dict[Direction, Mixing] = {}
    merged: dict[Direction, Route] = {}

    def mix(direction: Direction) -> Mixing:
        if direction not in mixings:
            made = same or mixing(library, direction)
            (made.recipe or library.recipe).check(library.base.sites)
            mixings[direction] = made
        return mixings[direction]

    for direction in directions:
        mix(direction)
    for language, role in sorted({side for direction in directions for side in _sides(direction)}):
        if language in pointers:
            library.adapter(pointers[language], role)

    def find(direction: Direction) -> Route:
        if strange := sorted(set(direction) - asked):
            raise LibraryError(
                f"{direction} must be of languages that the router was made for, but {strange[0]} is none of them. "
                "Name its direction when making the router."
            )
        if direction in merged:
            return merged[direction]
        made = mix(direction)
        sides = [side for side in _sides(direction) if side[0] in pointers]
        bank = Bank(library.adapter(pointers[language], role) for language, role in sides)
        found = made.route(bank, library.recipe, direction)
        if made.method != "linear":
            merged[direction] = found  # not a reference: what took long to make is made once
        return found

    return find


def steps(direction: Direction, via: str) -> tuple[Direction, ...]:
    """Return the directions that a translation passes one after the other: itself, or through English."""
    if via == "direct" or ENGLISH in direction:
        return (direction,)
    return Direction(direction.source, ENGLISH), Direction(ENGLISH, direction.target)


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
