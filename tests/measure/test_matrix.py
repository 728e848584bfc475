from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lingraft.atoms import ConfigError, DataError, Direction, LibraryError
from lingraft.corpus.profile import Identifier, Profile
from lingraft.measure import Results, measure
from lingraft.measure.scores import score

LINES = {
    "eng_Latn": ("the dog sees the house", "where is the water", "yes"),
    "deu_Latn": ("der hund sieht das haus", "wo ist das wasser", "ja"),
    "epo_Latn": ("la hundo vidas la domon", "kie estas la akvo", "jes"),
    "rus_Cyrl": ("собака видит дом", "где вода", "да"),
}
LANGUAGES = tuple(LINES)


@dataclass(frozen=True)
class Lines:
    lines: dict[str, tuple[str, ...]]
    origin: str = "toy"


class Oracle:
    """Translates perfectly with the adapters, copies without; remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[tuple[str, Direction]], str]] = []

    def __call__(self, texts: list[str], directions: list[Direction], via: str) -> list[str]:
        self.calls.append((list(zip(texts, directions, strict=True)), via))
        if via == "base":
            return list(texts)
        return [LINES[d.target][LINES[d.source].index(text)] for text, d in zip(texts, directions, strict=True)]


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return Identifier({code: Profile.train(code, lines) for code, lines in LINES.items()})


def test_every_direction_and_via_in_few_mixed_calls(identifier: Identifier) -> None:
    oracle = Oracle()
    steps: list[tuple[str, int]] = []
    results = measure(
        oracle,
        Lines(LINES),
        LANGUAGES,
        identifier,
        progress=lambda name, count: steps.append((name, count)),
        command="x",
    )
    found = Counter(row.via for row in results.rows)
    assert found == {"base": 12, "direct": 12, "pivot": 6}
    assert not any("eng_Latn" in (row.source, row.target) for row in results.rows if row.via == "pivot")
    # base, direct, and only the second half of the pivot: the first is already there
    assert [via for _, via in oracle.calls] == ["base", "direct", "direct"]
    assert all(len(set(requests)) == len(requests) for requests, _ in oracle.calls)
    assert len({direction for _, direction in oracle.calls[0][0]}) == 12
    # every source has the same English here, so it is translated once per target
    assert len(oracle.calls[2][0]) == 3 * 3
    assert steps == [("base", 36), ("direct", 36), ("pivot, second half", 9), ("scores", 0)]
    for row in results.rows:
        assert (row.chrf == pytest.approx(100)) == (row.via != "base")
        assert row.off_target == (100 if row.via == "base" else 0)
        assert row.lines == 3
        assert "nw:2" in row.signature
    assert results.summary["ratio_direct_pivot"] == 1
    assert results.summary["without_pivot"]["pivot"]["directions"] == 6
    assert results.summary["into_pivot"]["direct"]["directions"] == 3
    assert results.summary["into_pivot"]["direct"]["chrf++"] == pytest.approx(100)
    assert results.summary["into_pivot"]["base"]["off_target"] == 100
    assert results.identifier["accuracy"] == dict.fromkeys(LANGUAGES, 100.0)
    assert results.testset == "toy"
    assert {"lingraft", "sacrebleu", "python"} <= results.versions.keys()


def test_pivot_is_the_two_steps_and_keeps_its_lines_apart(identifier: Identifier) -> None:
    """A system whose English carries its source shows whether outputs are put back in their places."""

    def translate(texts: list[str], directions: list[Direction], via: str) -> list[str]:
        return [f"{text} {direction}" for text, direction in zip(texts, directions, strict=True)]

    results = measure(translate, Lines(LINES), LANGUAGES, identifier, vias=["pivot"], keep_outputs=True)
    assert len(results.rows) == 6
    for (source, target, via), texts in results.outputs.items():
        assert via == "pivot"
        expected = [f"{line} {source}-eng_Latn eng_Latn-{target}" for line in LINES[source]]
        assert list(texts) == expected
        row = results.row(source, target, "pivot")
        assert row is not None
        assert row.chrf == pytest.approx(score(expected, LINES[target])[0].value, abs=1e-4)


def test_pivot_without_english_in_the_matrix(identifier: Identifier) -> None:
    oracle = Oracle()
    results = measure(oracle, Lines(LINES), ("deu_Latn", "epo_Latn"), identifier, vias=("direct", "pivot"))
    assert [len(requests) for requests, _ in oracle.calls] == [6, 6, 6]
    assert {row.via for row in results.rows} == {"direct", "pivot"}
    english_only = measure(Oracle(), Lines(LINES), ("deu_Latn", "eng_Latn"), identifier)
    assert {row.via for row in english_only.rows} == {"base", "direct"}
    assert english_only.summary["ratio_direct_pivot"] is None


def test_blank_outputs_are_off_target(identifier: Identifier) -> None:
    def translate(texts: list[str], directions: list[Direction], via: str) -> list[str]:
        return [LINES[d.target][1] if i % 3 else " " for i, d in enumerate(directions)]

    results = measure(translate, Lines(LINES), ("deu_Latn", "rus_Cyrl"), identifier, vias=("direct",))
    assert [row.off_target for row in results.rows] == [pytest.approx(100 / 3, abs=1e-3)] * 2


def test_json_round_trip_and_atomic_write(identifier: Identifier, tmp_path: Path) -> None:
    results = measure(Oracle(), Lines(LINES), LANGUAGES, identifier, keep_outputs=True)
    path = tmp_path / "out.json"
    path.write_text("old")
    results.write(path)
    assert Results.from_json(path.read_bytes()) == results
    assert results.with_notes("a", "b").notes == (*results.notes, "a", "b")
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["results"][0].keys() == {
        "source", "target", "via", "chrf++", "bleu", "off_target", "lines", "signature", "bleu_signature",
    }  # fmt: skip
    assert data["summary"] == results.summary
    results.write_outputs(tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 30 * 3
    assert lines[0].keys() == {"source", "target", "via", "line", "text"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "out.jsonl"]
    with pytest.raises(DataError, match="keep_outputs"):
        replace(results, outputs={}).write_outputs(path)


def test_a_failed_write_keeps_the_old_file(
    identifier: Identifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = measure(Oracle(), Lines(LINES), LANGUAGES, identifier, vias=("direct",))
    path = tmp_path / "out.json"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LibraryError, match="disk is full"):
        results.write(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize(
    ("languages", "vias", "error", "match"),
    [
        (LANGUAGES, ("pivto",), ConfigError, "Did you mean 'pivot'"),
        (LANGUAGES, (), ConfigError, "but is empty"),
        (("deu_Latn",), ("direct",), DataError, "at least two"),
        (("deu_Latn", "deu_Latn"), ("direct",), DataError, "different"),
        (("deu_Latn", "fra_Latn"), ("direct",), DataError, "must hold fra_Latn"),
        (("deu_Latn", "swe_Latn"), ("direct",), DataError, "profile of swe_Latn"),
        (("deu_Latn", "ces_Latn"), ("direct",), DataError, "equally many"),
    ],
)
def test_refuses_before_anything_is_translated(
    identifier: Identifier, languages: tuple[str, ...], vias: tuple[str, ...], error: type[Exception], match: str
) -> None:
    oracle = Oracle()
    more = LINES | {"swe_Latn": LINES["deu_Latn"], "ces_Latn": ("kde je voda",)}
    known = Identifier({code: Profile.train(code, lines) for code, lines in more.items() if code != "swe_Latn"})
    with pytest.raises(error, match=match):
        measure(oracle, Lines(more), languages, known, vias=vias)
    assert not oracle.calls


def test_refuses_missing_translations(identifier: Identifier) -> None:
    with pytest.raises(DataError, match="must return 36 texts for direct"):
        measure(lambda texts, directions, via: texts[1:], Lines(LINES), LANGUAGES, identifier, vias=("direct",))


def test_refuses_malformed_results(identifier: Identifier) -> None:
    good = json.loads(measure(Oracle(), Lines(LINES), LANGUAGES, identifier).to_json())
    row = good["results"][0]
    broken = [
        good | {"more": 1},
        good | {"format": 2},
        good | {"languages": "deu"},
        good | {"identifier": {"accuracy": {}}},
        good | {"results": {}},
        good | {"results": [row | {"chrf++": 101}]},
        good | {"results": [row | {"chrf++": "1"}]},
        good | {"results": [row | {"lines": 0}]},
        good | {"results": [row | {"via": "magic"}]},
        good | {"results": [row | {"source": 1}]},
        good | {"results": [{**row, "x": 1}]},
        [],
    ]
    for data in broken:
        with pytest.raises(DataError, match="must be"):
            Results.from_json(json.dumps(data))
    for text in ("", "{", "[" * 100_000, json.dumps(good).replace("100.0", "NaN")):
        with pytest.raises(DataError, match="must be"):
            Results.from_json(text)
