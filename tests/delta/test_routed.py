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
        for name in (None, *kernels.KERNELS):
            with Routing(base, name) as routing:
                found += [run(base, routing, made), run(base, routing, made)]
                assert torch.equal(run(base, routing, Plan(base, [()] * len(PAIRS))), bare)
    assert (found[0] - bare).abs().max() > 0.1
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=1e-4)
