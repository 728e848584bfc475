"""The hooks: what they compute once, and what they leave behind."""

from __future__ import annotations

import pytest
import torch

import banks
import tiny
from lingraft.atoms import Direction
from lingraft.delta import Plan, Routing, kernels
from lingraft.direction import Recipe, route

PAIRS = [Direction("deu_Latn", "fra_Latn"), Direction("epo_Latn", "ita_Latn"), Direction("deu_Latn", "spa_Latn")]
IDS = torch.randint(4, 200, (3, 6), generator=torch.Generator().manual_seed(1))


def plan(base, **options) -> Plan:
    bank = banks.bank(base, **options)
    return Plan(base, [route(bank, Recipe(), pair) for pair in PAIRS])


def run(base, routing: Routing, made: Plan) -> torch.Tensor:
    routing.use(made)
    inputs = {"decoder_input_ids": IDS} if base.family.kind == "seq2seq" else {}
    return base.model(input_ids=IDS, **inputs).logits


@pytest.mark.parametrize(("family", "inputs"), [("llama", 4 * 2), ("m2m_100", (4 + 7) * 2)])
def test_sites_that_read_the_same_input_are_shrunk_together(family, inputs, monkeypatch):
    """q, k and v; gate and up; the decoder's keys and values of the encoder."""
    base, calls = tiny.load(family), []
    real = kernels.KERNELS["rows"]
    counted = kernels.Kernel(lambda *given: (calls.append(1), real.shrink(*given))[1], real.expand)
    monkeypatch.setitem(kernels.KERNELS, "rows", counted)
    made = plan(base)
    parts = {id(each) for passes in made.passes().values() for each, _ in passes}
    with Routing(base, "rows") as routing, torch.no_grad():
        run(base, routing, made)
    per_input = {id(passes[0][0]) for passes in made.passes().values()}
    assert len(per_input) == inputs
    assert len(calls) == len(parts)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "m2m_100"])
@pytest.mark.parametrize("scoped", [True, False])
def test_every_kernel_gives_the_base_the_same_logits_and_leaves_no_trace(family, scoped):
    base = tiny.load(family)
    made = plan(base, rank=None, scoped=scoped)
    with torch.no_grad():
        with Routing(base) as routing:
            bare = run(base, routing, Plan(base, [()] * len(PAIRS)))
        found = []
        for name in (None, *sorted(kernels.KERNELS.keys() - {"fused"})):
            with Routing(base, name) as routing:
                found += [run(base, routing, made), run(base, routing, made)]
                assert torch.equal(run(base, routing, Plan(base, [()] * len(PAIRS))), bare)
    assert (found[0] - bare).abs().max() > 0.1
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
@pytest.mark.parametrize(("kernel", "scoped"), [(None, True), ("segments", False), ("grouped", True), ("rows", True)])
def test_rows_packed_into_a_long_one_are_what_they_are_apart_forward_and_backward(family, kernel, scoped):
    """Each position by its own route; rows without adapters and a second long row as well."""
    base = tiny.load(family)
    bank = banks.bank(base, rank=None, scoped=scoped)
    routes = [*(route(bank, Recipe(), pair) for pair in PAIRS), ()]
    parts = [[(0, 4), (3, 2), (1, 3)], [(2, 5), (0, 1), (0, 3)]]  # of each long row: route and length
    g = torch.Generator().manual_seed(2)
    ids = torch.randint(4, 200, (2, 9), generator=g)
    span = torch.randint(0, 2, (2, 9), generator=g).bool() if scoped else None
    updates = [update for adapter in bank.values() for update in adapter.updates.values()]
    trained = [t.requires_grad_() for update in updates for t in (update.A, update.B)]
    position, alike, apart = torch.zeros(2, 9, dtype=torch.long), torch.zeros(2, 9, 9, dtype=torch.bool), []
    with Routing(base, kernel) as routing:
        for row, stretches in enumerate(parts):
            start = 0
            for number, length in stretches:
                here = slice(start, start + length)
                position[row, here] = torch.arange(length)
                alike[row, here, here] = torch.ones(length, length).tril().bool()
                routing.use(Plan(base, [routes[number]], None if span is None else span[row : row + 1, here]))
                apart.append(base.model(input_ids=ids[row : row + 1, here]).logits[0])
                start += length
        wanted = torch.cat(apart)
        rows = [routes[number] for stretches in parts for number, length in stretches for _ in range(length)]
        routing.use(Plan(base, rows, span))
        bias = torch.zeros(2, 1, 9, 9).masked_fill(~alike[:, None], torch.finfo(base.dtype).min)
        masks = {"full_attention": bias, "sliding_attention": bias} if family == "gemma3_text" else bias
        found = base.model(input_ids=ids, position_ids=position, attention_mask=masks).logits.view(18, -1)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    weight = torch.randn(wanted.shape, generator=g)
    theirs, ours = (torch.autograd.grad((each * weight).sum(), trained, allow_unused=True) for each in (wanted, found))
    assert sum(each is not None for each in ours) > len(trained) // 3
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
