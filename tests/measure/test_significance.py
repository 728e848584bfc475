"""Whether differences over a matrix are real: against published values, and sacreBLEU's own test."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

import small
from lingraft.atoms import DataError, Direction
from lingraft.library.mixing import Mixing, mixing
from lingraft.measure import Results, Row, html_report
from lingraft.measure.classes import chrf_of, statistics
from lingraft.measure.contrast import Contrast
from lingraft.measure.run import choose_vias
from lingraft.measure.significance import contrasts, holm, in_words

A, B = Direction("deu_Latn", "fra_Latn"), Direction("fra_Latn", "deu_Latn")
NAMES = ("direct", "pivot")


def spoiled(line: str, share: float, seed: int) -> str:
    """The line with some of its words turned round."""
    draw = random.Random(f"{line} {seed}")
    return " ".join(word[::-1] if draw.random() < share else word for word in line.split())


REFERENCES = {
    code: [f"{small.TEXTS[code]} {number * 7919 % 1000}" for number in range(60)] for code in ("deu_Latn", "fra_Latn")
}


def system(shares: dict[Direction, float], seed: int) -> dict[Direction, list[str]]:
    return {
        where: [spoiled(line, share, seed + i) for i, line in enumerate(REFERENCES[where.target])]
        for where, share in shares.items()
    }


def test_holm():
    """The worked example of R's `p.adjust(c(.01, .04, .03, .005), "holm")`."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_differs_and_what_does_not():
    good, bad = system({A: 0.1, B: 0.3}, 0), system({A: 0.6, B: 0.3}, 1000)
    one, other, mean = contrasts(good, bad, REFERENCES, NAMES)
    assert (one.source, one.target, one.system, one.baseline) == (*A, *NAMES)
    assert one.verdict == "better"
    assert 0 < one.low < one.difference < one.high
    assert one.adjusted == 2 * one.p
    assert other.verdict == "even"
    assert other.low < 0 < other.high
    assert mean.difference == pytest.approx((one.difference + other.difference) / 2, abs=1e-3)
    assert contrasts(bad, good, REFERENCES, NAMES)[0].verdict == "worse"
    assert "better in 1 and worse in 0 of 2" in in_words((one, other, mean))


def test_against_sacrebleu():
    """The means are sacreBLEU's; its p, from another drawing, is near."""
    good, bad = system({A: 0.30}, 0), system({A: 0.36}, 1000)
    references = REFERENCES[A.target]
    one, _ = contrasts(good, bad, REFERENCES, NAMES, samples=2000)
    metric = CHRF(word_order=2)
    score = lambda texts: metric.corpus_score(texts, [references]).score
    assert one.difference == pytest.approx(score(good[A]) - score(bad[A]), abs=1e-3)
    test = PairedTest(
        [("pivot", bad[A]), ("direct", good[A])],
        {"chrF": CHRF(word_order=2, references=[references])},
        None,
        n_samples=2000,
    )
    assert one.p == pytest.approx(test()[1]["chrF2++"][1].p_value, abs=0.05)


def test_enough_samples_for_many_directions():
    """With 1,000 resamplings no p of 60 directions could be below 0.05 after the correction."""
    codes = [f"x{chr(97 + i // 26)}{chr(97 + i % 26)}_Latn" for i in range(60)]
    where = [Direction("eng_Latn", code) for code in codes]
    references = dict.fromkeys(codes, REFERENCES["fra_Latn"][:20])
    texts = lambda share: {each: [spoiled(line, share, 1) for line in references[each.target]] for each in where}
    found = contrasts(texts(0.0), texts(0.9), references, NAMES)
    assert {each.verdict for each in found} == {"better"}


def test_many_directions_have_an_end_and_are_seen(monkeypatch):
    """1,000 resamplings of 60 directions cannot count a p that is small enough; the tail of what they spread is."""
    codes = [f"x{chr(97 + i // 26)}{chr(97 + i % 26)}_Latn" for i in range(60)]
    where = [Direction("eng_Latn", code) for code in codes]
    references = dict.fromkeys(codes, REFERENCES["fra_Latn"][:20])
    texts = lambda share: {each: [spoiled(line, share, 1) for line in references[each.target]] for each in where}
    monkeypatch.setattr("lingraft.measure.significance.MOST", 1000)
    ready = []
    *found, mean = contrasts(texts(0.0), texts(0.9), references, NAMES, progress=ready.append)
    assert {each.verdict for each in found} == {mean.verdict} == {"better"}
    assert ready == [1] * 60
    *found, _ = contrasts(texts(0.5), texts(0.5), references, NAMES)
    assert {each.p for each in found} == {1.0}


def test_the_interval_of_the_means_is_that_of_their_resamplings():
    """As by its definition, from all resamplings of all directions at once."""
    good, bad = system({A: 0.3, B: 0.3}, 0), system({A: 0.36, B: 0.33}, 1000)
    *_, mean = contrasts(good, bad, REFERENCES, NAMES)
    drawn = np.random.default_rng(12345).multinomial(60, np.full(60, 1 / 60), size=1000)
    score = lambda texts, where: chrf_of(drawn @ statistics(texts[where], REFERENCES[where.target]))
    each = [score(good, where) - score(bad, where) for where in (A, B)]
    low, high = np.quantile(np.mean(each, axis=0), (0.025, 0.975))
    assert (mean.low, mean.high) == (round(float(low), 4), round(float(high), 4))


def test_bad_input():
    good = system({A: 0.1}, 0)
    assert contrasts(good, {}, REFERENCES, NAMES) == ()
    with pytest.raises(DataError, match="60 translations"):
        contrasts(good, {A: good[A][:-1]}, REFERENCES, NAMES)
    with pytest.raises(DataError, match="at least two"):
        contrasts({A: ["x"]}, {A: ["x"]}, {"fra_Latn": ["x"]}, NAMES)


def results(*found: Contrast) -> Results:
    rows = tuple(
        Row(*where, via, 30.0, 20.0, 1.0, 60, "chrf", "bleu") for where in (A, B) for via in ("direct", "pivot")
    )
    return Results(rows, ("deu_Latn", "fra_Latn"), testset="dev", contrasts=found)


WORSE = Contrast(*A, *NAMES, -2.0, -3.0, -1.0, 0.001, 0.002)
EVEN = Contrast(*B, *NAMES, -0.1, -1.0, 1.0, 0.8, 0.8)
MEAN = Contrast("all", "all", *NAMES, -1.05, -2.0, -0.1, 0.01, 0.01)


def test_json_and_report():
    made = results(WORSE, EVEN, MEAN)
    assert Results.from_json(made.to_json()) == made
    page = html_report(made)
    assert "Is the difference real?" in page
    assert "worse in 1 of 2" in page
    assert "Is the difference real?" not in html_report(results())
    data = json.loads(made.to_json())
    data["contrasts"][0]["p"] = "small"
    with pytest.raises(DataError, match="`p` of a contrast"):
        Results.from_json(json.dumps(data))


def test_the_choice_is_stored_where_it_changes(tmp_path):
    library, _ = small.library(tmp_path)
    assert choose_vias(library, results(WORSE, EVEN, MEAN)) == {A: "pivot"}
    assert mixing(library, A).via == "pivot"
    assert "-2.00" in mixing(library, A).found["direct minus pivot"]
    assert mixing(library, B) == Mixing()
    half = Direction("deu_Latn", "ita_Latn")  # one side has adapters: through English, unless something is stored
    for contrast, chosen in ((-2.0, {}), (2.0, {half: "direct"}), (2.0, {}), (-2.0, {half: "pivot"})):
        verdict = Contrast(*half, *NAMES, contrast, contrast - 1, contrast + 1, 0.001, 0.002)
        assert choose_vias(library, results(verdict, EVEN, MEAN)) == chosen
    better = Contrast(*A, *NAMES, 2.0, 1.0, 3.0, 0.001, 0.002)
    assert choose_vias(library, results(better, EVEN, MEAN)) == {A: "direct"}
    with pytest.raises(DataError, match="direct and pivot"):
        choose_vias(library, results())
