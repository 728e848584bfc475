from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingraft.atoms import DataError
from lingraft.corpus.ngrams import ngrams, words
from lingraft.corpus.profile import MAX_BYTES, NO_LANGUAGE, SIZE, UNKNOWN, Identifier, Profile

ENGLISH = ["The dog sees the house.", "Where is the water?", "I think that this is the right thing to do."]
GERMAN = ["Der Hund sieht das Haus.", "Wo ist das Wasser?", "Ich denke, dass dies das Richtige ist."]
RUSSIAN = ["Собака видит дом.", "Где вода?", "Я думаю, что это правильно."]


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return Identifier(
        {
            code: Profile.train(code, lines)
            for code, lines in (("eng_Latn", ENGLISH), ("deu_Latn", GERMAN), ("rus_Cyrl", RUSSIAN))
        }
    )


def test_words_keep_letters_and_marks_of_any_script() -> None:
    assert words("L’amour, 3 FOIS! (it's)") == ["l'amour", "fois", "it's"]
    assert words("हिन्दी।") == ["हिन्दी"]  # the vowel signs are marks and stay
    assert words(" 10:30 … ") == []


def test_ngrams_are_padded_by_one_space() -> None:
    assert sorted(ngrams("ab")) == sorted(["a", "b", " a", "ab", "b ", " ab", "ab ", " ab "])


def test_names_the_language(identifier: Identifier) -> None:
    for code, lines in (("eng_Latn", ENGLISH), ("deu_Latn", GERMAN), ("rus_Cyrl", RUSSIAN)):
        for line in lines:
            found, lead = identifier.identify(line)
            assert found == code
            assert lead > 0
    assert identifier.accuracy({"eng_Latn": ENGLISH, "deu_Latn": [*GERMAN, ENGLISH[0]]}) == {
        "eng_Latn": 100.0,
        "deu_Latn": 75.0,
    }


def test_text_without_evidence(identifier: Identifier) -> None:
    assert identifier.identify("10:30.") == (NO_LANGUAGE, 0.0)
    assert identifier.identify("你好世界") == (UNKNOWN, 0.0)
    assert identifier.accepts("10:30.", "deu_Latn")
    assert not identifier.accepts("你好世界", "deu_Latn")
    assert not identifier.accepts("", "deu_Latn")
    assert not identifier.accepts(" \n", "deu_Latn")


@given(st.lists(st.text(max_size=30), max_size=8))
@settings(max_examples=60, deadline=None)
def test_json_round_trip(lines: list[str]) -> None:
    profile = Profile.train("ido_Latn", ["amiko", *lines])
    assert Profile.from_json(profile.to_json()) == profile
    assert Profile.from_json(profile.to_json().encode()).to_json() == profile.to_json()


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_identifies_any_text(text: str) -> None:
    pair = Identifier({"eng_Latn": Profile.train("eng_Latn", ENGLISH), "deu_Latn": Profile.train("deu_Latn", GERMAN)})
    code, lead = pair.identify(text)
    assert code in ("eng_Latn", "deu_Latn", NO_LANGUAGE, UNKNOWN)
    assert lead >= 0


def test_order_of_lines_and_profiles_is_irrelevant(identifier: Identifier) -> None:
    assert Profile.train("eng_Latn", ENGLISH[::-1]).to_json() == Profile.train("eng_Latn", ENGLISH).to_json()
    other = Identifier({"rus_Cyrl": Profile.train("rus_Cyrl", RUSSIAN), "deu_Latn": Profile.train("deu_Latn", GERMAN)})
    assert other.languages == ("deu_Latn", "rus_Cyrl")


def test_profile_is_pruned_but_totals_are_not() -> None:
    lines = [chr(0x4E00 + i) + chr(0x4E00 + i + 1) for i in range(2000)]
    profile = Profile.train("zho_Hans", lines)
    assert len(profile.counts) == SIZE
    assert profile.totals == (4000, 6000, 4000, 2000)


def _broken() -> list[tuple[str, object]]:
    good = json.loads(Profile.train("eng_Latn", ENGLISH).to_json())
    return [
        ("extra field", good | {"more": 1}),
        ("missing field", {k: v for k, v in good.items() if k != "lines"}),
        ("format", good | {"format": 2}),
        ("format as a truth value", good | {"format": True}),
        ("language", good | {"language": "../../x"}),
        ("negative", good | {"counts": {"a": -1}}),
        ("fraction", good | {"counts": {"a": 1.5}}),
        ("truth value", good | {"counts": {"a": True}}),
        ("huge", good | {"counts": {"a": 10**30}}),
        ("long n-gram", good | {"counts": {"abcde": 1}}),
        ("empty n-gram", good | {"counts": {"": 1}}),
        ("none", good | {"counts": {}}),
        ("too many", good | {"counts": {f"{i:04d}": 0 for i in range(SIZE + 1)}}),
        ("totals too small", good | {"totals": [0, 0, 0, 0]}),
        ("totals too few", good | {"totals": [9999, 9999]}),
        ("not an object", [good]),
    ]


@pytest.mark.parametrize(("name", "data"), _broken(), ids=lambda value: value if isinstance(value, str) else "")
def test_refuses_a_malformed_profile(name: str, data: object) -> None:
    with pytest.raises(DataError, match="must be"):
        Profile.from_json(json.dumps(data))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"format":1,"format":1}', " " * (MAX_BYTES + 1), b"\xff\xfe", '{"format":' + "9" * 5000],
    ids=["empty", "cut", "deep", "double", "long", "bytes", "digits"],
)
def test_refuses_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(DataError, match="must be"):
        Profile.from_json(text)


def test_refuses_too_few_or_misplaced_profiles() -> None:
    english = Profile.train("eng_Latn", ENGLISH)
    with pytest.raises(DataError, match="at least two"):
        Identifier({"eng_Latn": english})
    with pytest.raises(DataError, match="of deu_Latn"):
        Identifier({"eng_Latn": english, "deu_Latn": english})
    with pytest.raises(DataError, match="must hold letters"):
        Profile.train("eng_Latn", ["1", ""])


def test_real_short_sentences(shared_data: Path) -> None:
    """On Tatoeba's short sentences, trained on 2,000 lines per language and told from 12 others."""
    folder = shared_data / "tatoeba"
    others = ["deu", "epo", "fra", "spa", "ita", "por", "nld", "swe", "dan", "pol"]
    names = {code: f"{code}_Latn" for code in others} | {"rus": "rus_Cyrl", "ces": "ces_Latn"}
    text: dict[str, list[str]] = {"eng_Latn": []}
    for code in names.values():
        first, second = sorted(("eng_Latn", code))
        with gzip.open(folder / "train" / f"{first}-{second}.tsv.gz", "rt", encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t") for line, _ in zip(file, range(2000), strict=False)]
        text["eng_Latn"] += [row[first != "eng_Latn"] for row in rows[:200]]
        text[code] = [row[first == "eng_Latn"] for row in rows]
    identifier = Identifier({code: Profile.train(code, lines) for code, lines in text.items()})
    known = {}
    for code in ("eng_Latn", "deu_Latn", "epo_Latn", "fra_Latn", "rus_Cyrl"):
        known[code] = gzip.decompress((folder / "multi" / f"dev.{code}.txt.gz").read_bytes()).decode().splitlines()
    accuracy = identifier.accuracy(known)
    assert min(accuracy.values()) >= 97, accuracy
