from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lingraft.delta.groups import Groups
from lingraft.delta.kernels import KERNELS, Mix, segments


def case(seed: int, count: int, spans: bool) -> tuple:
    g = torch.Generator().manual_seed(seed)
    n = lambda low, high: int(torch.randint(low, high, (), generator=g))
    inn, out, length = n(1, 9), n(1, 9), n(1, 6)
    mixes = []
    owners = [group for group in range(count) for _ in range(n(1, 4))]
    if n(0, 2):
        owners = [owners[i] for i in torch.randperm(len(owners), generator=g)]
    for i in range(count):
        if i and n(0, 4) == 0:
            mixes.append(None)
            continue
        r = n(1, 5)
        leaf = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()
        extra = torch.randn(r, generator=g, dtype=torch.float64) if spans and n(0, 3) else None
        mixes.append(Mix(leaf(r, inn), leaf(out, r), leaf(r), extra))
    x = torch.randn(len(owners), length, inn, generator=g, dtype=torch.float64).requires_grad_()
    span = torch.randint(0, 2, (len(owners), length, 1), generator=g).double() if spans else None
    return x, mixes, Groups(owners), span


def formula(x, mixes, groups, span):
    """Position by position: Σᵢ gainᵢ · B[:, i] (A[i, :] · x)."""
    rows = []
    width = next(m.B.shape[0] for m in mixes if m is not None)
    for n, owner in enumerate(groups.owners):
        mix = mixes[owner]
        for t in range(x.shape[1]):
            if mix is None:
                rows.append(torch.zeros(width, dtype=x.dtype))
                continue
            gain = mix.target_gain
            if mix.extra is not None and span is not None:
                gain = gain + span[n, t] * mix.extra
            rows.append((mix.B * gain) @ mix.A @ x[n, t])
    return torch.stack(rows).view(x.shape[0], x.shape[1], width)


@pytest.mark.parametrize("kernel", sorted(KERNELS))
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 5), spans=st.booleans())
def test_every_kernel_is_the_formula_forward_and_backward(kernel, seed, count, spans):
    x, mixes, groups, span = case(seed, count, spans)
    leaves = [x, *(t for m in mixes if m is not None for t in (m.A, m.B, m.target_gain))]
    weight = torch.randn(1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found, wanted = KERNELS[kernel](x, mixes, groups, span), formula(x, mixes, groups, span)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    ours = torch.autograd.grad((found.sin() * weight).sum(), leaves, allow_unused=True)
    theirs = torch.autograd.grad((wanted.sin() * weight).sum(), leaves, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a if a is not None else torch.zeros_like(b), b, rtol=1e-9, atol=1e-10)


def test_bf16_stays_within_its_own_noise():
    x, mixes, groups, span = case(3, 4, True)
    exact = segments(x, mixes, groups, span)
    for kernel in KERNELS.values():
        half = kernel(x.bfloat16(), mixes, groups, span.bfloat16()).double()
        assert (half - exact).abs().max() <= 0.05 * exact.abs().max()
