"""From a library to routes: which directions it offers, and the adapters they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lingraft.atoms import ENGLISH, Direction, LibraryError, Role
from lingraft.atoms.languages import name
from lingraft.delta import Bank, Route
from lingraft.direction import Recipe
from lingraft.direction.methods import method
from lingraft.library.manifest import Pointer
from lingraft.library.mixing import Mixing, mixing
from lingraft.library.mixing_file import Via
from lingraft.library.store import Library


def offered(library: Library) -> tuple[str, ...]:
    """Return the languages a library can translate: installed ones, English, and those its base knows."""
    return tuple(sorted({*library.languages(), ENGLISH, *library.base.languages}))


def router(
    library: Library,
    directions: Sequence[Direction],
    recipe: Recipe | Mixing | None = None,
    merged_by: str | None = None,
) -> Callable[[Direction], Route]:
    """Return the function from direction to route, for some directions whose adapters are checked first.

    No other adapter is read. Those that are stay in the library's memory as its budget allows, and are read again
    where it does not; each route holds what it needs for as long as it is there. The versions are those installed
    now, whatever is added later.

    Args:
        library: A library with its base.
        directions: What will be asked for.
        recipe: How all of them are made; None: as the library has stored it (`library.mixing`).
        merged_by: The name of a method, in the place of each one's own; None: that.

    Returns:
        A function to give to ``attach``; it refuses languages that are in none of ``directions``.

    Raises:
        AdapterError: If an adapter is damaged.
        ConfigError: If a stored mixing is malformed, or names what the base does not have, or a method is none.
        LibraryError: If a language is neither installed nor known to the base.
    """
    if merged_by is not None:
        method(merged_by)  # raises where it is none, whatever the directions
    asked = {language for direction in directions for language in direction}
    pointers = _pointers(library, asked)
    same = Mixing(recipe) if isinstance(recipe, Recipe) else recipe
    mixings: dict[Direction, Mixing] = {}
    merged: dict[Direction, Route] = {}

    def mix(direction: Direction) -> Mixing:
        if direction not in mixings:
            made = same or mixing(library, direction)
            if merged_by is not None:
                made = replace(made, method=merged_by)
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


def usual_via(library: Library, direction: Direction) -> Via:
    """Return how a direction is translated where nobody says how.

    It is as stored. Where nothing is stored, or nothing about that, a direction of which one language has adapters and
    the other is only known to the base goes through English, beside which the adapters were trained.

    Args:
        library: A library with its base.
        direction: The pair of languages; for one that is not on offer, `router` says what is wrong with it.

    Returns:
        ``direct`` or ``pivot``, for `steps`.

    Raises:
        ConfigError: If a stored mixing is malformed.
        LibraryError: If a language is no code, or a stored mixing can't be read.
    """
    if ENGLISH in direction or not set(direction) <= set(offered(library)):
        return "direct"
    alone = sum(map(library.places.installed, direction)) == 1
    return mixing(library, direction).via or ("pivot" if alone else "direct")


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
