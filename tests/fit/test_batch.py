from __future__ import annotations

import random
from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from lingraft.atoms import Direction
from lingraft.base import Encoded
from lingraft.fit.batch import Costs, collate, losses, pack
from lingraft.fit.learner import Row

row = st.builds(
    lambda s, t, a, x: Row(
        Direction(x, "eng_Latn"), Encoded(tuple(range(3, 3 + s)), tuple(range(3, 3 + t)), tuple(range(3, 3 + a)))
    ),
    st.integers(1, 30),
    st.integers(1, 4),
    st.integers(1, 30),
    st.sampled_from(["deu_Latn", "fra_Latn"]),
)


@settings(max_examples=60)
@given(
    st.lists(st.lists(row, min_size=1, max_size=20), min_size=1, max_size=6),
    st.integers(1, 400),
    st.builds(Costs, st.sampled_from([0.0, 30.0, 500.0]), st.sampled_from([0.0, 5.0, 500.0])),
)
def test_packing_keeps_every_row_once_within_the_budget_in_even_groups(rows, tokens, costs):
    batches = pack(rows, tokens, costs)
    flat = lambda i, row: (i, row.direction, row.text.source, row.text.target, row.text.answer)
    packed = sorted(flat(i, r) for batch in batches for i, r in batch)
    assert packed == sorted(flat(i, r) for i, mine in enumerate(rows) for r in mine)
    for batch in batches:
        order = [(i, row.direction) for i, row in batch]
        assert order == sorted(order)
        assert _padded(batch) <= tokens or len(batch) == 1
        assert len(set(Counter(i for i, _ in batch).values())) == 1


def test_the_dearer_an_adapter_the_fewer_batches_it_is_in_and_the_dearer_a_batch_the_fewer_there_are():
    g = random.Random(1)
    rows = [
        [Row(Direction("deu_Latn", "eng_Latn"), Encoded((3,) * g.randint(5, 60), (3,), (3,))) for _ in range(16)]
        for _ in range(40)
    ]
    packings = {costs: pack(rows, 800, costs) for costs in (Costs(0, 0), Costs(0, 50), Costs(500, 0))}
    padded = {costs: sum(map(_padded, batches)) for costs, batches in packings.items()}
    touches = {costs: sum(len({i for i, _ in batch}) for batch in batches) for costs, batches in packings.items()}
    free, adapters, batches = packings
    assert padded[free] < padded[adapters]
    assert touches[free] > touches[adapters]
    assert len(packings[batches]) < len(packings[free])


def test_one_row_each_of_many_learners_is_packed_by_length():
    """A batch with all learners in it would be as wide as the longest row, and far beyond the budget."""
    rows = [[Row(Direction("deu_Latn", "eng_Latn"), Encoded((3,) * n, (3,), (3,)))] for n in range(1, 101)]
    batches = pack(rows, 500, Costs(100, 10))
    assert sum(map(_padded, batches)) < 1.3 * sum(n + 1 for n in range(1, 101))


def _padded(batch):
    return len(batch) * max(len(r.source) + len(r.target) + len(r.answer) - 1 for _, (_, r) in batch)


def test_the_loss_is_the_sum_of_each_rows_own_cross_entropy():
    """The reference computes each row alone, position by position, in float64."""
    for family in ("llama", "m2m_100"):
        base = tiny.load(family)
        where = Direction("deu_Latn", "eng_Latn")
        rows = base.format.encode(where, ["ein Haus", "der Hund schläft"], ["a house", "the dog is asleep now"])
        batch = collate(base, [(0, Row(where, rows[0])), (1, Row(where, rows[1]))])
        with torch.no_grad():
            found = losses(base, batch)
            for each, loss in zip(rows, found, strict=True):
                if family == "llama":
                    prompt = each.source + each.target
                    logits = base.model(input_ids=torch.tensor([prompt + each.answer])).logits[0]
                    logits = logits[len(prompt) - 1 : -1]
                else:
                    inputs = {"input_ids": [each.source], "decoder_input_ids": [each.target + each.answer]}
                    logits = base.model(**{k: torch.tensor(v) for k, v in inputs.items()}).logits[0]
                    logits = logits[len(each.target) - 1 : -1]
                picked = logits.double().log_softmax(-1)[range(len(each.answer)), list(each.answer)]
                torch.testing.assert_close(loss.double(), -picked.sum(), rtol=1e-4, atol=1e-4)
