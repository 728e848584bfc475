from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from lingraft.atoms import ConfigError, DataError, Direction
from lingraft.corpus import Pairs
from lingraft.measure import Row
from lingraft.measure.between import both
from lingraft.measure.classes import averages, by_class, chrf_of, class_pairs, differences, resample, statistics

CLASSES = {"high": ("eng_Latn", "spa_Latn"), "low": ("deu_Latn", "epo_Latn")}
CODES = sorted(code for codes in CLASSES.values() for code in codes)
WORDS = "the dog sees a house and drinks cold water today".split()  # noqa: SIM905


def text(generator: np.random.Generator) -> str:
    return " ".join(generator.choice(WORDS, generator.integers(3, 8)))


def files_of(rows: int) -> list[Pairs]:
    generator = np.random.default_rng(0)
    found = []
    for number, a in enumerate(CODES):
        for b in CODES[number + 1 :]:
            sides = [tuple(text(generator) for _ in range(rows)) for _ in "ab"]
            found.append(Pairs(a, b, *sides, f"{a}-{b}"))
    return found


def worse(tests: list[Pairs], share: float, seed: int) -> dict[Direction, list[str]]:
    """References of which some words are lost: a system whose quality is known."""
    generator = np.random.default_rng(seed)
    keep = lambda line: " ".join(w for w in line.split() if generator.random() >= share)
    return {way: [keep(line) for line in pairs.of(way.target)] for pairs in tests for way in both(pairs)}


def row(source: str, target: str, chrf: float) -> Row:
    return Row(source, target, "direct", chrf, chrf / 2, 100 - chrf, 10, "s", "b")


def test_every_direction_has_one_pair_of_classes() -> None:
    kinds = class_pairs(CLASSES)
    assert len(kinds) == 4 * 3
    assert list(dict.fromkeys(kinds.values())) == ["H2H", "H2L", "L2H", "L2L"]
    assert kinds[Direction("eng_Latn", "epo_Latn")] == "H2L"
    assert kinds[Direction("epo_Latn", "eng_Latn")] == "L2H"
    assert "L2L" not in class_pairs({"low": ("deu_Latn",), "High": ("eng_Latn",)}).values()


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        ({"low": ("deu_Latn",), "large": ("eng_Latn",)}, "different letters"),
        ({"low": ("deu_Latn",), "Large": ("eng_Latn",)}, "different letters"),
        ({"": ("deu_Latn",)}, "different letters"),
        ({"low": ("deu_Latn",), "high": ("deu_Latn",)}, "deu_Latn twice"),
        ({"low": ("deu_Latn", "deu_Latn")}, "deu_Latn twice"),
    ],
)
def test_refuses_classes_that_cannot_be_told_apart(classes: dict[str, tuple[str, ...]], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        class_pairs(classes)


def test_means_by_pair_of_classes() -> None:
    rows = [row("eng_Latn", "spa_Latn", 10), row("spa_Latn", "deu_Latn", 20), row("eng_Latn", "epo_Latn", 50)]
    found = averages(rows, CLASSES)
    assert list(found) == ["H2H", "H2L", "all"]
    assert found["H2L"] == {"chrf++": 35, "bleu": 17.5, "off_target": 65, "directions": 2}
    assert found["all"]["directions"] == 3
    assert found["all"]["chrf++"] == pytest.approx(80 / 3, abs=1e-4)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([], "at least one"),
        ([row("eng_Latn", "spa_Latn", 10)] * 2, "each there once"),
        ([row("eng_Latn", "fra_Latn", 10)], "fra_Latn is in none"),
    ],
)
def test_refuses_rows_without_a_mean(rows: list[Row], match: str) -> None:
    with pytest.raises(DataError, match=match):
        averages(rows, CLASSES)


@given(st.sets(st.sampled_from(sorted(class_pairs(CLASSES))), min_size=1))
def test_groups_hold_each_direction_once(directions: set[Direction]) -> None:
    groups = by_class(sorted(directions), CLASSES)
    assert set(groups.pop("all")) == directions
    assert sorted(where for group in groups.values() for where in group) == sorted(directions)


LINES = st.lists(st.text("ab c,.é", max_size=12), min_size=1, max_size=4)


@given(st.data())
def test_summed_statistics_give_sacrebleus_chrf(data: st.DataObject) -> None:
    references = data.draw(LINES)
    hypotheses = [data.draw(st.text("ab c,.é", max_size=12)) for _ in references]
    expected = CHRF(word_order=2).corpus_score(hypotheses, [references]).score
    assert float(chrf_of(statistics(hypotheses, references).sum(0))) == pytest.approx(expected, abs=1e-9)


def test_a_resampling_is_the_corpus_score_of_the_rows_drawn() -> None:
    """Each draw must be a score that some choice of the rows has: with two rows there are three choices."""
    (pairs,) = files_of(2)[:1]
    outputs = worse([pairs], 0.4, 1)
    found = resample(outputs, [pairs], samples=50)
    metric = CHRF(word_order=2)
    for where in both(pairs):
        hypotheses, references = outputs[where], pairs.of(where.target)
        choices = [
            metric.corpus_score([hypotheses[i] for i in rows], [[references[i] for i in rows]]).score
            for rows in ((0, 0), (0, 1), (1, 1))
        ]
        assert found.chrf[where] == pytest.approx(choices[1], abs=1e-9)
        nearest = np.abs(found.draws[where][:, None] - np.array(choices)).argmin(1)
        np.testing.assert_allclose(found.draws[where], np.array(choices)[nearest], atol=1e-9)
        shares = np.bincount(nearest, minlength=3) / 50
        assert shares[1] == pytest.approx(0.5, abs=0.25)
        assert min(shares) > 0.05


def test_a_better_system_is_found_and_the_interval_holds_the_difference() -> None:
    tests = files_of(60)
    good, bad = (resample(worse(tests, share, seed), tests) for share, seed in ((0.2, 1), (0.3, 2)))
    found = differences(good, bad, CLASSES)
    assert list(found) == ["H2H", "H2L", "L2H", "L2L", "all"]
    assert [value.directions for value in found.values()] == [2, 4, 4, 2, 12]
    for value in found.values():
        assert value.low < value.mean < value.high
    assert found["all"].mean == pytest.approx(math.fsum(good.chrf[w] - bad.chrf[w] for w in good.chrf) / 12)
    assert found["all"].p == pytest.approx(1 / 1001)
    assert found["all"].high - found["all"].low < found["H2H"].high - found["H2H"].low
    back = differences(bad, good, CLASSES)["all"]
    assert (back.mean, back.p) == (pytest.approx(-found["all"].mean), found["all"].p)


def test_no_difference_is_found_between_equals() -> None:
    tests = files_of(15)
    one = resample(worse(tests, 0.3, 1), tests)
    same = differences(one, one, CLASSES)["all"]
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    drawn = [resample(worse(tests, 0.3, seed), tests, samples=150) for seed in range(2, 10)]
    alike = [differences(*pair, CLASSES)["all"] for pair in pairwise(drawn)]
    assert sum(value.p < 0.05 for value in alike) <= 2
    assert sum(value.low <= 0 <= value.high for value in alike) >= 5


def test_pairing_makes_the_interval_narrower() -> None:
    """Two systems of one kind of error vary together from row to row; resampled apart, they would not."""
    tests = files_of(40)
    outputs = worse(tests, 0.4, 1)
    slightly = {way: [line if i % 9 else line[:-3] for i, line in enumerate(lines)] for way, lines in outputs.items()}
    one, other = resample(outputs, tests), resample(slightly, tests)
    value = differences(one, other, CLASSES)["all"]
    apart = np.mean([one.draws[w] - np.roll(other.draws[w], 1) for w in one.draws], axis=0)
    low, high = np.quantile(apart, (0.025, 0.975))
    assert value.high - value.low < 0.7 * (high - low)


def test_refuses_other_rows_or_missing_translations() -> None:
    tests = files_of(5)
    outputs = worse(tests, 0.3, 1)
    one = resample(outputs, tests, samples=10)
    for other in (
        resample(outputs, tests, samples=11),
        resample(outputs, tests, samples=10, seed=1),
        resample(outputs, tests[1:], samples=10),
    ):
        with pytest.raises(DataError, match="resampled like"):
            differences(one, other, CLASSES)
    where = both(tests[0])[1]
    for lines in ([], outputs[where][1:]):
        with pytest.raises(DataError, match=f"5 translations for {where}"):
            resample({**outputs, where: lines}, tests)
    single = [Pairs("deu_Latn", "epo_Latn", ("a",), ("b",), "x")]
    with pytest.raises(DataError, match="two rows"):
        resample(worse(single, 0, 1), single)
    with pytest.raises(DataError, match="epo_Latn"):
        differences(one, one, {"high": CLASSES["high"], "low": ("deu_Latn",)})
