from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixes import case, formula, leaves, run

from lingraft.atoms.errors import ConfigError
from lingraft.delta import kernels
from lingraft.delta.groups import Groups
from lingraft.delta.kernels import KERNELS, choose, describe
from lingraft.delta.stack import Mix, Stack

PLAIN = KERNELS.keys() - {"fused"}


@pytest.mark.parametrize("kernel", sorted(PLAIN))
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 5), spans=st.booleans(), sites=st.integers(1, 3))
def test_every_kernel_is_the_formula_forward_and_backward(kernel, seed, count, spans, sites):
    given_ = case(seed, count, spans, sites)
    found, wanted = run(kernel, *given_), formula(*given_)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    total = lambda outs: sum((out.sin() * (i + 1)).sum() for i, out in enumerate(outs))
    ours = torch.autograd.grad(total(found), leaves(*given_[:3]), allow_unused=True)
    theirs = torch.autograd.grad(total(wanted), leaves(*given_[:3]), allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a if a is not None else torch.zeros_like(b), b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kernel", sorted(PLAIN))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 5), spans=st.booleans())
def test_what_is_stacked_once_without_gradients_is_the_same(kernel, seed, count, spans):
    x, stack, bases, groups, span = case(seed, count, spans, 2)
    with torch.no_grad():
        wanted, kept = formula(x, stack, bases, groups, span), Stack(stack)
        for _ in range(2):  # the second time from what is kept
            for where in (span, None):
                made = KERNELS[kernel].shrink(x, kept, groups, where)
                found = [KERNELS[kernel].expand(b.clone(), m, groups) for b, m in zip(bases, made, strict=True)]
                plain = wanted if where is span else formula(x, stack, bases, groups, None)
                for a, b in zip(found, plain, strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", sorted(PLAIN))
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_lower_precisions_stay_within_their_own_noise_forward_and_backward(kernel, dtype, most):
    g = torch.Generator().manual_seed(5)
    randn = lambda *shape: torch.randn(*shape, generator=g)
    owners = [0, 1, 2, 1, 0, 3, 3, 3, 2, 1]
    stack = [[None if i == 2 else Mix(randn(8, 64) / 8, randn(48, 8), randn(8), None) for i in range(4)]]
    made = [randn(10, 12, 64), stack, [randn(10, 12, 48)], Groups(owners), None]
    results = []
    for kind, name in ((torch.float64, "segments"), (dtype, kernel)):
        cast = lambda t, kind: t.to(kind).detach().requires_grad_()
        # The trained factors stay in fp32 under a base in bf16.
        own = kind if kind is torch.float64 else torch.float32
        mixes = [[m and Mix(cast(m.A, own), cast(m.B, own), m.target_gain.to(own), None) for m in made[1][0]]]
        x, bases = cast(made[0], kind), [cast(made[2][0], kind)]
        (out,) = run(name, x, mixes, bases, made[3], None)
        wanted = [x, *(t for m in mixes[0] if m is not None for t in (m.A, m.B))]
        results.append([out, *torch.autograd.grad(out.square().sum(), wanted)])
    for exact, found in zip(*results, strict=True):
        assert (found.double() - exact).norm() <= most * exact.norm()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 40), st.integers(1, 64))
def test_a_kernel_is_chosen_for_every_shape_and_described(owners, length, rank):
    numbers = {owner: i for i, owner in enumerate(dict.fromkeys(owners))}
    assert choose(Groups([numbers[owner] for owner in owners]), length, rank) in KERNELS
    assert describe().keys() == KERNELS.keys()


def test_the_fused_kernel_is_chosen_on_a_gpu_that_has_triton_unless_nothing_has_to_move(monkeypatch):
    even, mixed = Groups([0, 1, 2], "cuda"), Groups([0, 1, 0], "cuda")
    for there in (True, False):
        monkeypatch.setattr(kernels, "has_triton", lambda there=there: there)
        assert choose(even, 1, 8) == "grouped"
        assert (choose(mixed, 1, 8) == "fused") is there
        assert choose(Groups([0, 1, 0]), 1, 8) != "fused"


def test_the_fused_kernel_without_triton_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(kernels, "has_triton", lambda: False)
    kernels._fused.cache_clear()
    with pytest.raises(ConfigError, match="Triton must be installed for the kernel `fused`"):
        run("fused", *case(1, 2, spans=False))
