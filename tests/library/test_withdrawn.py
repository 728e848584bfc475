"""What an operator has taken out is a small file in the library."""

from __future__ import annotations

import pytest
import shelf

from lingraft.atoms import LibraryError
from lingraft.library import Library
from lingraft.library.places import Places
from lingraft.library.withdrawn import FILE, restore, withdraw, withdrawn


def test_out_and_in_again(tmp_path):
    places = Places(tmp_path)
    assert withdrawn(places) == frozenset()
    restore(places, "deu_Latn", 1.0)  # nothing to do, and nothing is written
    assert not list(tmp_path.iterdir())
    withdraw(places, "deu_Latn", 1.0)
    withdraw(places, "fra_Latn", 1.0)
    withdraw(places, "deu_Latn", 1.0)
    assert withdrawn(places) == {"deu_Latn", "fra_Latn"}
    restore(places, "fra_Latn", 1.0)
    assert withdrawn(places) == {"deu_Latn"}
    restore(places, "deu_Latn", 1.0)
    assert not (tmp_path / FILE).exists()


def test_a_language_that_is_removed_and_added_again_is_not_out(tmp_path):
    library = Library.create(tmp_path / "lib", shelf.base())
    library.add({"deu_Latn": shelf.module(library.base, "deu_Latn")})
    withdraw(library.places, "deu_Latn", 1.0)
    library.remove("deu_Latn")
    assert withdrawn(library.places) == frozenset()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '["../x"]', '"deu_Latn"', "[" * 5000, "\xff"])
def test_a_damaged_list_is_refused_rather_than_ignored(tmp_path, text):
    (tmp_path / FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(LibraryError, match="list of language codes"):
        withdrawn(Places(tmp_path))
