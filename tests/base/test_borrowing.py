"""Languages that a tokenizer has no token for borrow one; the base stays what it is."""

from __future__ import annotations

import pytest

import tiny
from lingraft.atoms import Direction, LanguageError, Role


@pytest.mark.parametrize("family", ["m2m_100", "m2m_100_short"])
def test_a_language_is_named_by_its_relative_and_the_base_stays_what_it_is(family):
    base = tiny.load(family)
    twin = base.borrowing({"fur_Latn": "ita_Latn", "scn_Latn": "ita_Latn"})
    for given, wanted in (("fur_Latn", "deu_Latn"), ("deu_Latn", "scn_Latn"), ("fur_Latn", "scn_Latn")):
        like = Direction(*(twin.borrowed.get(language, language) for language in (given, wanted)))
        assert twin.format.encode(Direction(given, wanted), ["casa"]) == base.format.encode(like, ["casa"])
    assert twin.format.knows("fur_Latn")
    assert not base.format.knows("fur_Latn")
    assert twin.model is base.model
    assert twin.languages == base.languages
    for name in ("fingerprint", "tokenizer_hash"):
        assert getattr(twin, name) == getattr(base, name)
    assert (twin.format.hash, twin.format.spec()) == (base.format.hash, base.format.spec())
    again = twin.borrowing({"fur_Latn": "fra_Latn"})
    assert again.borrowed == {"fur_Latn": "fra_Latn", "scn_Latn": "ita_Latn"}
    assert twin.borrowed["fur_Latn"] == "ita_Latn"
    assert base.borrowing({}) is base
    assert {base.embedding(role) for role in Role} == {f"model.{x}.embed_tokens" for x in ("encoder", "decoder")}


def test_what_cannot_be_borrowed_is_said_before_anything_else():
    base = tiny.load("m2m_100")
    with pytest.raises(LanguageError, match="deu_Latn, which has one"):
        base.borrowing({"deu_Latn": "ita_Latn"})
    with pytest.raises(LanguageError, match=r"`ita_Grek` must be .* Near ones are: ita_Latn"):
        base.borrowing({"fur_Latn": "ita_Grek"})
    with pytest.raises(LanguageError, match="scn_Latn"):  # a relative has a token of its own
        base.borrowing({"scn_Latn": "ita_Latn"}).borrowing({"fur_Latn": "scn_Latn"})
    with pytest.raises(LanguageError, match=r"`fur_Latn` must be .* --like"):
        base.format.encode(Direction("fur_Latn", "deu_Latn"), ["casa"])
    with pytest.raises(LanguageError, match="Leave it out"):
        tiny.load("llama").borrowing({"fur_Latn": "ita_Latn"})
    with pytest.raises(LanguageError, match="by name"):
        tiny.load("llama").token("ita_Latn")
