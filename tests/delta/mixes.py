"""Random mixes of updates for the tests of kernels, and the formula that they are held against."""

from __future__ import annotations

import torch

from lingraft.delta.groups import Groups
from lingraft.delta.kernels import KERNELS
from lingraft.delta.stack import Mix, Stack


def case(
    seed: int, count: int, spans: bool, sites: int = 1, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> tuple:
    """Random shapes, ranks, orders of rows, groups without an update; every site has one of a group."""
    g = torch.Generator().manual_seed(seed)
    n = lambda low, high: int(torch.randint(low, high, (), generator=g))
    randn = lambda *shape: torch.randn(*shape, generator=g, dtype=dtype).to(device)
    inn, length = n(1, 9), n(1, 6)
    owners = [group for group in range(count) for _ in range(n(1, 4))]
    if n(0, 2):
        owners = [owners[i] for i in torch.randperm(len(owners), generator=g)]
    leaf = lambda *shape: randn(*shape).requires_grad_()
    stack, bases = [], []
    for _ in range(sites):
        out, mixes = n(1, 9), []
        for i in range(count):
            if i and n(0, 4) == 0:
                mixes.append(None)
                continue
            r = n(1, 5)
            extra = randn(r) if spans and n(0, 3) else None
            mixes.append(Mix(leaf(r, inn), leaf(out, r), leaf(r), extra))
        stack.append(mixes)
        bases.append(leaf(len(owners), length, out))
    x = leaf(len(owners), length, inn)
    span = torch.randint(0, 2, (len(owners), length, 1), generator=g).to(device, dtype) if spans else None
    return x, stack, bases, Groups(owners, device), span


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
