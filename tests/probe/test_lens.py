"""The logit lens against transformers' hidden states and the formulas in float64, one sentence at a time."""

from __future__ import annotations

import statistics

import glass
import pytest
import torch

import tiny
from lingraft.atoms import ConfigError, DataError, Direction
from lingraft.corpus import TestSet
from lingraft.delta import Routing
from lingraft.fit.batch import collate
from lingraft.fit.learner import Row
from lingraft.probe.lens import hidden_states, logit_lens, unembed
from lingraft.probe.positions import Vocabulary, places


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3_text", "gemma3", "m2m_100"])
def test_every_layer_is_norm_and_unembedding_and_the_last_is_the_model(family):
    base = glass.shaken(tiny.load(family))
    if family == "gemma3_text":
        base.model.config.final_logit_softcapping = 2.0
    adapters = glass.routes(base)["both"]
    sentences = [glass.lines()[code][:3] for code in glass.WHERE]
    rows = base.format.encode(glass.WHERE, *sentences)
    batch = collate(base, [(0, Row(glass.WHERE, row)) for row in rows])
    hooks = lambda: [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in base.model.modules()]
    before = hooks()
    with Routing(base) as routing, torch.no_grad():
        routing.set([(adapters, len(rows))], batch.span)
        found = [unembed(base, states).double() for states in hidden_states(base, batch)]
    assert hooks() == before
    expected = [glass.layers(base, adapters, row) for row in rows]
    for layer, logits in enumerate(found[:-1]):
        wanted = torch.cat([glass.own_logits(base, states[layer]) for states, _ in expected])
        torch.testing.assert_close(logits, wanted, atol=2e-5, rtol=2e-5)
    own = torch.cat([logits for _, logits in expected]).double()
    torch.testing.assert_close(found[-1], own, atol=2e-5, rtol=2e-5)
    assert len(found) == 3
    assert (found[0] - found[1]).abs().max() > 0.01


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
def test_a_lens_is_the_average_over_single_sentences(family):
    base, made = tiny.load(family), glass.parallel()
    systems = {"base": (), **glass.routes(base), "tuned": glass.shaken(base)}
    found = logit_lens(base, made, glass.WHERE, systems, limit=10, batch_size=4)
    where = places(base, made, glass.WHERE, 10)
    vocabulary = Vocabulary(base, made, glass.WHERE)
    assert [each.name for each in found.systems] == list(systems)
    assert (found.positions, found.sentences, found.layers) == (len(where.positions), 10, 2)
    assert len(where.positions) > 15
    for reading in found.systems:
        system = systems[reading.name]
        model, adapters = (system, ()) if reading.name == "tuned" else (base, system)
        seen = [glass.layers(model, adapters, row)[0] for row in where.rows]
        for layer in range(3):
            chances, ranks, tops = [], [], []
            for row, place, tokens in where.positions:
                state = seen[row][layer][place]
                if layer < 2:
                    logits = glass.own_logits(model, state)
                else:  # transformers has applied the last norm to the last one
                    logits = state.double() @ model.model.get_output_embeddings().weight.double().T
                chances.append([logits.softmax(-1)[token].item() for token in tokens])
                order = logits.argsort(descending=True).tolist()
                ranks.append([1 + order.index(token) for token in tokens])
                tops.append(order[0])
            for column, code in enumerate(("fra_Latn", "eng_Latn", "deu_Latn")):
                curve = reading.curves[code]
                mean = statistics.fmean(chance[column] for chance in chances)
                assert curve.probability[layer] == pytest.approx(mean, rel=1e-4)
                assert curve.rank[layer] == statistics.median(rank[column] for rank in ranks)
            assert reading.ahead[layer] == pytest.approx(statistics.fmean(own > eng for own, eng, _ in chances))
            for code, share in vocabulary.shares(tops).items():
                assert reading.top[code][layer] == pytest.approx(share)
    curves = [reading.curves["fra_Latn"].probability for reading in found.systems]
    assert len(set(curves)) == len(curves)  # no two systems are the same


@pytest.mark.parametrize("size", [1, 3, 100])
def test_batches_and_chunks_change_nothing(size, monkeypatch):
    base, made = tiny.load("llama"), glass.parallel()
    counts: list[int] = []
    one = logit_lens(base, made, glass.WHERE, {"base": ()}, limit=6)
    monkeypatch.setattr("lingraft.probe.lens._LOGITS", 1000)  # two positions at once
    other = logit_lens(base, made, glass.WHERE, {"base": ()}, limit=6, batch_size=size, progress=counts.append)
    assert sum(counts) == 6
    for code, curve in one.systems[0].curves.items():
        assert other.systems[0].curves[code].probability == pytest.approx(curve.probability, rel=1e-4)
        assert other.systems[0].curves[code].rank == curve.rank


def test_english_is_named_once():
    base, made = tiny.load("llama"), glass.parallel()
    into = logit_lens(base, made, Direction("deu_Latn", "eng_Latn"), {"base": ()}, limit=4)
    assert into.languages == ("eng_Latn", "deu_Latn")
    assert (into.systems[0].ahead, into.systems[0].crossing) == ((), None)
    out = logit_lens(base, made, Direction("eng_Latn", "deu_Latn"), {"base": ()}, limit=4)
    assert out.languages == ("deu_Latn", "eng_Latn")
    assert len(out.systems[0].ahead) == 3


def test_bad_input():
    base, made = tiny.load("llama"), glass.parallel()
    with pytest.raises(ConfigError, match="`systems`"):
        logit_lens(base, made, glass.WHERE, {})
    with pytest.raises(ConfigError, match="`limit`"):
        logit_lens(base, made, glass.WHERE, {"base": ()}, limit=0)
    with pytest.raises(ConfigError, match="`batch_size`"):
        logit_lens(base, made, glass.WHERE, {"base": ()}, batch_size=0)
    for other in (tiny.load("qwen2"), tiny.load("llama", layers=3)):
        with pytest.raises(ConfigError, match=r"`systems\['tuned'\]`"):
            logit_lens(base, made, glass.WHERE, {"tuned": other})
    no_english = TestSet({code: made.lines[code] for code in glass.WHERE}, "made")
    with pytest.raises(DataError, match="lacks eng_Latn"):
        logit_lens(base, no_english, glass.WHERE, {"base": ()})
