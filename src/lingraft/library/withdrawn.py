"""Languages that lie in a library and shall not be served: an operator has taken them out.

Their codes stand in ``LIBRARY/withdrawn.json``, so that a service that is started anew leaves them out as well. The
adapters stay where they are, and all other verbs use them as before.
"""

from __future__ import annotations

import json
import os
import re

from lingraft.atoms import LibraryError
from lingraft.atoms.durable import write_file
from lingraft.library import disk
from lingraft.library.manifest import CODE
from lingraft.library.places import Places

FILE = "withdrawn.json"


def withdrawn(places: Places) -> frozenset[str]:
    """Return the languages that shall not be served.

    Args:
        places: The layout of the library.

    Returns:
        Their codes; some may have left the library since.

    Raises:
        LibraryError: The file is damaged. To serve what somebody has taken out would be worse than to stop.
    """
    path = places.path / FILE
    if not os.path.lexists(path):
        return frozenset()
    try:
        codes = json.loads(places.read(FILE))
    except (ValueError, RecursionError):
        codes = None
    if not isinstance(codes, list) or not all(isinstance(code, str) and re.fullmatch(CODE, code) for code in codes):
        error = LibraryError(
            f"`{path}` must be a JSON list of language codes, but is not. Write it anew, or delete it to serve all."
        )
        error.code = "library.damaged"
        raise error
    return frozenset(codes)


def withdraw(places: Places, language: str, patience: float) -> None:
    """Write down that a language shall not be served.

    Args:
        places: The layout of the library.
        language: The language's code.
        patience: Seconds to wait for another writer.

    Raises:
        LibraryError: The file is damaged, another writer holds the library, or the disk failed.
    """
    if language not in withdrawn(places):
        with places.writing(patience):
            _write(places, withdrawn(places) | {language})


def restore(places: Places, language: str, patience: float) -> None:
    """Write down that a language shall be served again (errors as in `withdraw`)."""
    if language in withdrawn(places):
        with places.writing(patience):
            forget(places, language)


def forget(places: Places, language: str) -> None:
    """Do the same under the writers' lock that the caller holds."""
    if language in (codes := withdrawn(places)):
        _write(places, codes - {language})


def _write(places: Places, codes: frozenset[str]) -> None:
    path = places.path / FILE
    with disk.reported(path):
        if codes:
            write_file(path, (json.dumps(sorted(codes)) + "\n").encode())
        else:
            disk.remove_file(path)
