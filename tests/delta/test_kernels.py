from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lingraft.delta.groups import Groups
from lingraft.delta.kernels import KERNELS, choose, describe
from lingraft.delta.stack import Mix, Stack


def case(seed: int, count: int, spans: bool, sites: int = 1, dtype: torch.dtype = torch.float64) -> tuple:
    """Random shapes, ranks, orders of rows, groups without an update; every site has one of a group."""
    g = torch.Generator().manual_seed(seed)
    n = lambda low, high: int(torch.randint(low, high, (), generator=g))
    inn, length = n(1, 9), n(1, 6)
    owners = [group for group in range(count) for _ in range(n(1, 4))]
    if n(0, 2):
        owners = [owners[i] for i in torch.randperm(len(owners), generator=g)]
    leaf = lambda *shape: torch.randn(*shape, generator=g, dtype=dtype).requires_grad_()
    stack, bases = [], []
    for _ in range(sites):
        out, mixes = n(1, 9), []
        for i in range(count):
            if i and n(0, 4) == 0:
                mixes.append(None)
                continue
            r = n(1, 5)
            extra = torch.randn(r, generator=g, dtype=dtype) if spans and n(0, 3) else None
            mixes.append(Mix(leaf(r, inn), leaf(out, r), leaf(r), extra))
        stack.append(mixes)
        bases.append(leaf(len(owners), length, out))
    x = leaf(len(owners), length, inn)
    span = torch.randint(0, 2, (len(owners), length, 1), generator=g).to(dtype) if spans else None
    return x, stack, bases, Groups(owners), span


def run(kernel: str, x, stack, bases, groups, span) -> list[torch.Tensor]:
    made = KERNELS[kernel].shrink(x, Stack(stack), groups, span)
    return [KERNELS[kernel].expand(b.clone(), each, groups) for b, each in zip(bases, made, strict=True)]


def formula(x, stack, bases, groups, span) -> list[torch.Tensor]:
    """Position by position: base + Σᵢ gainᵢ · B[:, i] (A[i, :] · x)."""
    found = []
    for mixes, base in zip(stack, bases, strict=True):
        rows = []
        for n, owner in enumerate(groups.owners):
            mix = mixes[owner]
            for t in range(x.shape[1]):
                if mix is None:
                    rows.append(base[n, t])
                    continue
                gain = mix.target_gain
                if mix.extra is not None and span is not None:
                    gain = gain + span[n, t] * mix.extra
                rows.append(base[n, t] + (mix.B * gain) @ mix.A @ x[n, t])
        found.append(torch.stack(rows).view_as(base))
    return found


def leaves(x, stack, bases) -> list[torch.Tensor]:
    mixes = [mix for mixes in stack for mix in mixes if mix is not None]
    return [x, *bases, *(t for mix in mixes for t in (mix.A, mix.B, mix.target_gain))]


@pytest.mark.parametrize("kernel", sorted(KERNELS))
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


@pytest.mark.parametrize("kernel", sorted(KERNELS))
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


@pytest.mark.parametrize("kernel", sorted(KERNELS))
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
