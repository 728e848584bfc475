from __future__ import annotations

from functools import partial

import pytest
import torch

import tiny
from banks import adapter
from lingraft.atoms import Direction, Role
from lingraft.delta import Routing, Term
from lingraft.fit.batch import collate, losses
from lingraft.fit.learner import Row
from lingraft.fit.recompute import recomputing

WHERE = Direction("deu_Latn", "eng_Latn")


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
@pytest.mark.parametrize("dropping", [False, True])
def test_loss_and_gradients_are_the_same_bit_for_bit_and_less_is_kept(family, dropping):
    base = tiny.load(family)
    rows = base.format.encode(WHERE, ["ein Haus", "der Hund schläft"], ["a house", "the dog is asleep"])
    batch = collate(base, [(0, Row(WHERE, row)) for row in rows])
    updates = adapter(base, "deu_Latn", Role.SOURCE, scoped=True).updates
    leaves = [leaf.requires_grad_() for update in updates.values() for leaf in (update.A, update.B)]
    term = Term(updates, dict.fromkeys(updates, 1.0), adapter(base, "deu_Latn", Role.SOURCE, scoped=True).scope)
    results, kept = [], [0, 0]

    def note(t: torch.Tensor, wanted: bool) -> torch.Tensor:
        kept[wanted] += t.numel()
        return t

    for wanted in (False, True):
        torch.manual_seed(3)
        base.model.train(dropping)
        try:
            with recomputing(base, wanted), Routing(base) as routing:
                routing.set([((term,), 2)], batch.span)
                with torch.autograd.graph.saved_tensors_hooks(partial(note, wanted=wanted), lambda t: t):
                    (loss,) = losses(base, batch)
                results.append([loss.detach(), *torch.autograd.grad(loss, leaves, allow_unused=True)])
        finally:
            base.model.eval()
    assert kept[1] < kept[0] / 2
    for a, b in zip(*results, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)
    assert not any("forward" in module.__dict__ for module in base.model.modules())
