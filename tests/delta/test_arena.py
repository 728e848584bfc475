"""Tensors in an arena: values and gradients are those of tensors that lie by themselves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lingraft.delta.arena import Arena, Place, settle, stacked, stretches
from lingraft.delta.stack import Mix, Stack

SHAPE, COUNT = (3, 4), 5


def settled(seed: int = 0, before: int = 2) -> tuple[Arena, list[torch.Tensor]]:
    g = torch.Generator().manual_seed(seed)
    arena = Arena(torch.zeros(COUNT, 20), torch.zeros(COUNT, 20))
    leaves = [torch.randn(*SHAPE, generator=g).requires_grad_() for _ in range(COUNT)]
    for row, leaf in enumerate(leaves):
        settle(leaf, Place(arena, row, before, before + leaf.numel()))
    return arena, leaves


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, 2 * COUNT - 1), min_size=1, unique=True), seed=st.integers(0, 99))
def test_any_tensors_of_two_arenas_are_stacked_and_get_their_gradients(rows, seed):
    arenas, leaves = zip(settled(seed), settled(seed + 1), strict=True)
    every = [leaf for mine in leaves for leaf in mine]
    weight = torch.randn(len(rows), *SHAPE, generator=torch.Generator().manual_seed(seed))
    for time in (1, 2):
        chosen = [every[row] for row in rows]
        found = stacked(chosen, stretches(chosen))
        assert torch.equal(found, torch.stack([leaf.detach() for leaf in chosen]))
        (found * weight).sum().backward()
        for row, leaf in enumerate(every):
            wanted = weight[rows.index(row)] * time if row in rows else torch.zeros(SHAPE)
            assert torch.equal(leaf.grad, wanted)
    for arena in arenas:
        assert arena.gradient[:, :2].eq(0).all()
        assert arena.gradient[:, 14:].eq(0).all()


def test_all_rows_in_order_are_read_where_they_lie():
    arena, leaves = settled()
    found = stacked(leaves, stretches(leaves))
    assert found.untyped_storage().data_ptr() == arena.values.untyped_storage().data_ptr()
    assert stretches([leaves[0], torch.randn(3, 4).requires_grad_()]) is None
    assert stretches([leaf.detach() for leaf in leaves]) is None


def test_a_tensor_that_moves_takes_its_values_along_and_stays_the_same_one():
    _, leaves = settled()
    before = leaves[2].detach().clone()
    other = Arena(torch.zeros(1, 12), torch.zeros(1, 12))
    settle(leaves[2], Place(other, 0, 0, 12))
    assert torch.equal(leaves[2], before)
    assert torch.equal(other.values[0].view(SHAPE), before)
    leaves[2].square().sum().backward()
    torch.testing.assert_close(other.gradient[0].view(SHAPE), 2 * before)


def test_what_is_in_training_is_never_kept_between_passes():
    """A stack outlives steps; what it stacked without gradients for judging must not be what it gives after one."""
    _, leaves = settled()
    b, gain = torch.ones(2, 3), torch.ones(3)
    stack = Stack([[Mix(leaf, b, gain, None) for leaf in leaves]])
    with torch.no_grad():
        before = stack.tensors(torch.bfloat16, False).A.clone()
        for leaf in leaves:
            leaf.mul_(2)
        assert torch.equal(stack.tensors(torch.bfloat16, False).A, 2 * before)


@pytest.mark.parametrize("extra", [None, torch.ones(3)])
def test_a_gain_that_is_not_one_is_applied_also_where_all_share_it(extra):
    leaves = settled()[1]
    gain = torch.full((3,), 0.5)
    made = Stack([[Mix(leaf, torch.ones(2, 3), gain, extra) for leaf in leaves]]).tensors(torch.float32, True)
    assert made.gain is not None
    assert torch.equal(made.gain, torch.full((COUNT, 1, 3), 0.5))
