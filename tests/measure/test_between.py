from __future__ import annotations

from dataclasses import replace

import pytest

from lingraft.atoms import DataError, Direction
from lingraft.corpus import Pairs
from lingraft.corpus.profile import Identifier, Profile
from lingraft.measure import Results
from lingraft.measure.between import measure_between, outputs_of
from lingraft.measure.scores import score

TEXTS = {
    "deu_Latn": ("der hund sieht das haus", "wo ist das wasser", "ja", "der hund trinkt wasser"),
    "eng_Latn": ("the dog sees the house", "where is the water", "yes", "the dog drinks water"),
    "rus_Cyrl": ("собака видит дом", "где вода", "да", "собака пьёт воду"),
}


def pair(a: str, b: str, *rows: int) -> Pairs:
    return Pairs(a, b, *(tuple(TEXTS[code][i] for i in rows) for code in (a, b)), f"{a}-{b}.tsv")


# Row 2 stands twice: it is asked for once and scored twice. The pairs have other rows, and one pair is missing.
TESTS = [pair("deu_Latn", "eng_Latn", 0, 2, 2, 3), pair("eng_Latn", "rus_Cyrl", 1, 2)]
DIRECTIONS = [Direction(*way) for p in TESTS for way in ((p.a, p.b), (p.b, p.a))]


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return Identifier({code: Profile.train(code, lines) for code, lines in TEXTS.items()})


class Oracle:
    """Translates perfectly, but into German it gives back what it got; remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[tuple[str, Direction]], str]] = []

    def __call__(self, texts: list[str], directions: list[Direction], via: str) -> list[str]:
        self.calls.append((list(zip(texts, directions, strict=True)), via))
        return [
            text if where.target == "deu_Latn" else TEXTS[where.target][TEXTS[where.source].index(text)]
            for text, where in zip(texts, directions, strict=True)
        ]


@pytest.mark.parametrize("via", ["direct", "base"])
def test_both_directions_of_each_pair_in_one_mixed_call(identifier: Identifier, via: str) -> None:
    oracle, steps = Oracle(), []
    results = measure_between(
        oracle,
        TESTS,
        identifier,
        via=via,  # type: ignore[arg-type]
        progress=lambda name, count: steps.append((name, count)),
        command="x",
    )
    ((requests, told),) = oracle.calls
    assert told == via
    assert {where for _, where in requests} == set(DIRECTIONS)
    assert len(requests) == len(set(requests)) == 2 * 3 + 2 * 2
    assert steps == [(via, 10), ("scores", 0)]
    assert [(row.source, row.target, row.via, row.lines) for row in results.rows] == [
        ("deu_Latn", "eng_Latn", via, 4),
        ("eng_Latn", "deu_Latn", via, 4),
        ("eng_Latn", "rus_Cyrl", via, 2),
        ("rus_Cyrl", "eng_Latn", via, 2),
    ]
    for row in results.rows:
        assert (row.chrf == pytest.approx(100)) == (row.target != "deu_Latn")
        assert row.off_target == (100 if row.target == "deu_Latn" else 0)
        assert "nw:2" in row.signature
        assert "tok:" in row.bleu_signature
    assert results.languages == tuple(TEXTS)
    assert results.identifier["accuracy"] == dict.fromkeys(TEXTS, 100.0)
    assert "deu_Latn-eng_Latn.tsv" in results.testset
    assert Results.from_json(results.to_json()) == results


def test_outputs_stand_in_the_rows_of_their_file(identifier: Identifier) -> None:
    """Answers that carry their request show whether each came back to its place."""
    echo = lambda texts, directions, via: [f"{text} {where}" for text, where in zip(texts, directions, strict=True)]
    results = measure_between(echo, TESTS, identifier)
    outputs = outputs_of(results)
    assert list(outputs) == DIRECTIONS
    for pairs in TESTS:
        for where in DIRECTIONS:
            if set(where) == {pairs.a, pairs.b}:
                assert outputs[where] == tuple(f"{text} {where}" for text in pairs.of(where.source))
                row = results.row(*where, "direct")
                assert row is not None
                expected = score(outputs[where], pairs.of(where.target))
                assert (row.chrf, row.bleu) == (
                    pytest.approx(expected[0].value, abs=1e-4),
                    pytest.approx(expected[1].value, abs=1e-4),
                )


def test_outputs_of_two_vias_have_no_one_translation(identifier: Identifier) -> None:
    results = measure_between(Oracle(), TESTS, identifier)
    more = {(*where, "base"): texts for where, texts in outputs_of(results).items()}
    with pytest.raises(DataError, match="several vias"):
        outputs_of(replace(results, outputs={**results.outputs, **more}))


@pytest.mark.parametrize(
    ("tests", "match"),
    [
        ([], "at least one pair"),
        ([*TESTS, TESTS[0]], "deu_Latn-eng_Latn twice"),
        ([*TESTS, pair("deu_Latn", "rus_Cyrl")], "deu_Latn-rus_Cyrl.tsv has none"),
        ([Pairs("deu_Latn", "swe_Latn", ("ja",), ("ja",), "x")], "profile of swe_Latn"),
    ],
)
def test_refuses_before_anything_is_translated(identifier: Identifier, tests: list[Pairs], match: str) -> None:
    oracle = Oracle()
    with pytest.raises(DataError, match=match):
        measure_between(oracle, tests, identifier)
    assert not oracle.calls


@pytest.mark.parametrize("answers", [lambda texts: texts[1:], lambda texts: [None] * len(texts)])
def test_refuses_missing_translations(identifier: Identifier, answers: object) -> None:
    with pytest.raises(DataError, match="must return 10 texts"):
        measure_between(lambda texts, directions, via: answers(texts), TESTS, identifier)  # type: ignore[operator]
