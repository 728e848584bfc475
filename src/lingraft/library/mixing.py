"""Which mixing each direction has: stored as YAML in the library's folder.

``LIBRARY/recipes/deu_Latn-fra_Latn.yaml`` is about one direction, ``LIBRARY/recipes/default.yaml`` about every
other one that has two adapters. `mixing_file` says what stands in them.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

from lingraft.atoms import ConfigError, Direction, LanguageError, LibraryError
from lingraft.atoms.durable import write_file
from lingraft.atoms.languages import parse as parse_language
from lingraft.direction.recipe_file import read_text
from lingraft.library import disk
from lingraft.library.mixing_file import Mixing as Mixing
from lingraft.library.mixing_file import parse, text_of
from lingraft.library.places import RECIPES
from lingraft.library.store import Library

DEFAULT = "default"
OWN = "library"
"""The name of the library's own recipe, as if nothing were stored."""


def mixing(library: Library, direction: Direction) -> Mixing:
    """Return how a direction of a library is made: as its own file says, else the default's, else plainly.

    The default is about mixing, so a direction with one adapter (into English, say) is not its business. Whether the
    base has the layers and sites of the recipe is for `using.router` to say.

    Args:
        library: The library, with its base or without.
        direction: The pair of languages.

    Returns:
        How it is made.

    Raises:
        ConfigError: The file says what cannot be.
        LibraryError: The file cannot be read, or a language is no code.
    """
    if (own := stored(library, str(_checked(library, direction)))) is not None:
        return own
    if all(map(library.places.installed, direction)):
        return stored(library, DEFAULT) or Mixing()
    return Mixing()


def stored(library: Library, name: str) -> Mixing | None:
    """Return the mixing of a name that is stored in a library, or None (errors as in `mixing`)."""
    path = library.path / RECIPES / f"{name}.yaml"
    if not os.path.lexists(path):
        return None
    data = library.places.read(RECIPES, path.name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"`{path}` must be UTF-8, but is not at byte {error.start}. Write it again.") from None
    return parse(text, str(path))


def stored_directions(library: Library) -> dict[Direction, Mixing]:
    """Return the mixings of single directions that are stored in a library (errors as in `mixing`).

    A recipe whose name is no direction, ``early-late.yaml`` say, is for whoever names it.
    """
    found = {}
    for direction in library.places.directions().values():
        if (each := stored(library, str(direction))) is not None:
            found[direction] = each
    return found


def overlooked(library: Library) -> dict[str, str]:
    """Return the files that look like recipes of directions but are not followed, with what is wrong in each name."""
    found = {}
    followed = {path.name for path in library.places.directions()}
    for path in sorted((library.path / RECIPES).glob("*.y*ml")):
        if path.suffix == ".yml":
            found[path.name] = f"must be {path.stem}.yaml"
        elif path.name not in followed:
            with contextlib.suppress(LanguageError):
                if len(codes := [parse_language(word) for word in path.stem.split("-")]) == 2:
                    found[path.name] = f"must be {Direction(*codes)}.yaml"
    return found


def named(library: Library, name: str) -> Mixing:
    """Return the mixing of a file, or of a name in a library.

    Args:
        library: The library.
        name: A path of a YAML file, the name of one in the library's ``recipes``, or ``library``: its own recipe.

    Returns:
        The mixing.

    Raises:
        ConfigError: There is no such file, or it says what cannot be.
        LibraryError: A file of the library cannot be read.
    """
    if name == OWN:
        return Mixing()
    if "/" not in name and os.sep not in name and (found := stored(library, name)) is not None:
        return found
    if not Path(name).is_file():
        there = sorted(path.stem for path in (library.path / RECIPES).glob("*.yaml"))
        raise ConfigError(
            f"`--recipe` must be a file or one of {', '.join([OWN, *there])}, but is {name!r:.80} instead."
        )
    return parse(read_text(Path(name)), name)


def chosen(library: Library, recipe: str | None, merged_by: str | None, direction: Direction) -> Mixing | None:
    """Return the mixing that a command line asks for.

    Args:
        library: The library.
        recipe: A file or a name as in `named`; None: what is stored for the direction.
        merged_by: The name of a method; None: the recipe's.
        direction: The pair of languages.

    Returns:
        The mixing, or None where nothing was asked for (errors as in `named`).
    """
    if recipe is None and merged_by is None:
        return None
    made = mixing(library, direction) if recipe is None else named(library, recipe)
    return made if merged_by is None else replace(made, method=merged_by)


def store(library: Library, direction: Direction | None, made: Mixing) -> Path:
    """Store how a direction is made, or every one that nothing else is stored for, in one step.

    The library's last measurement is dropped: it was of how the direction was made before.

    Args:
        library: The library with its base.
        direction: The pair of languages; None: the default.
        made: What to store; an older file is replaced.

    Returns:
        The file.

    Raises:
        ConfigError: It names layers or sites that the base does not have.
        LibraryError: A language is no code, another writer holds the library, or the disk failed.
    """
    name = DEFAULT if direction is None else str(_checked(library, direction))
    path = library.path / RECIPES / f"{name}.yaml"
    if made.recipe is not None:
        made.recipe.check(library.base.sites)
    text = text_of(made)
    parse(text, str(path))
    with library.places.writing(library.patience), disk.reported(path):
        library.places.drop_scores()
        disk.make_folder(path.parent)
        write_file(path, text.encode())
    return path


def _checked(library: Library, direction: Direction) -> Direction:
    """Return a direction whose languages may be names of files."""
    for language in direction:
        library.places.pointer_path(language)  # raises where it is no code
    if direction.source == direction.target:
        raise LibraryError(f"`direction` must have two languages, but is {direction}.")
    return direction
