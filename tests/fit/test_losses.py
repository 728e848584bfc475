from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy as reference

import tiny
from lingraft.atoms import Direction
from lingraft.fit.batch import collate, losses
from lingraft.fit.learner import Row
from lingraft.fit.losses import cross_entropy


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 9),
    rows=st.sampled_from([1, 2, 4, None]),
    smoothing=st.sampled_from([0.0, 0.1]),
    cap=st.sampled_from([None, 2.0]),
    frozen=st.booleans(),
    bias=st.booleans(),
)
def test_it_is_torchs_cross_entropy_forward_and_backward(seed, n, rows, smoothing, cap, frozen, bias):
    g = torch.Generator().manual_seed(seed)
    head = nn.Linear(5, 11, bias=bias).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g))
    head.requires_grad_(not frozen)
    hidden = torch.randn(n, 5, generator=g, dtype=torch.float64).requires_grad_()
    labels = torch.randint(0, 11, (n,), generator=g)
    weights = torch.randn(n, generator=g, dtype=torch.float64)
    logits = head(hidden)
    logits = logits if cap is None else cap * torch.tanh(logits / cap)
    wanted = reference(logits, labels, reduction="none", label_smoothing=smoothing)
    found = cross_entropy(head, hidden, labels, smoothing, cap, rows)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    leaves = [hidden, *(() if frozen else head.parameters())]
    ours = torch.autograd.grad((found * weights).sum(), leaves)
    theirs = torch.autograd.grad((wanted * weights).sum(), leaves)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("frozen", [True, False])
def test_under_autocast_it_stays_within_the_noise_of_bf16(frozen):
    head = nn.Linear(64, 300, bias=False).requires_grad_(not frozen)
    hidden, labels = torch.randn(40, 64).requires_grad_(), torch.randint(0, 300, (40,))
    exact = reference(head(hidden), labels, reduction="none", label_smoothing=0.1)
    (slope,) = torch.autograd.grad(exact.sum(), [hidden])
    with torch.autocast("cpu", torch.bfloat16):
        found = cross_entropy(head, hidden, labels, 0.1, rows=16)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.01, atol=0.02)
    (ours,) = torch.autograd.grad(found.sum(), [hidden])
    assert (ours - slope).norm() <= 0.01 * slope.norm()


@pytest.mark.parametrize("frozen", [True, False])
def test_the_logits_of_all_positions_never_exist_at_once(frozen):
    """No tensor of [n, V] is kept for the backward pass: the largest is of some rows."""
    head = nn.Linear(4, 1000, bias=False).requires_grad_(not frozen)
    hidden, labels = torch.randn(64, 4).requires_grad_(), torch.randint(0, 1000, (64,))
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t):
        cross_entropy(head, hidden, labels, rows=8).sum().backward()
    kept = [size for size in sizes if size != head.weight.numel()]
    assert max(kept) <= 8 * 1000


def test_a_soft_cap_of_the_config_is_part_of_the_loss():
    base = tiny.load("gemma3_text")
    where = Direction("deu_Latn", "eng_Latn")
    (row,) = base.format.encode(where, ["ein Haus"], ["a house"])
    config = base.model.config
    before = config.final_logit_softcapping
    config.final_logit_softcapping = 0.5
    try:
        with torch.no_grad():
            (found,) = losses(base, collate(base, [(0, Row(where, row))]))
            prompt = row.source + row.target
            logits = base.model(input_ids=torch.tensor([prompt + row.answer])).logits[0, len(prompt) - 1 : -1]
    finally:
        config.final_logit_softcapping = before
    assert logits.abs().max() <= 0.5
    torch.testing.assert_close(found, reference(logits, torch.tensor(row.answer), reduction="sum"))
