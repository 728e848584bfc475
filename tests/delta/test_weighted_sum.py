"""Updates add up exactly, whatever they are stored in."""

from __future__ import annotations

import pytest
import torch

from lingraft.delta import Update, weighted_sum


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_weighted_sum_is_the_sum_in_float64_whatever_the_factors_are_stored_in(dtype):
    g = torch.Generator().manual_seed(1)
    made = lambda r, scale: Update(*(torch.randn(*s, generator=g).to(dtype) for s in ((r, 12), (8, r))), scale)
    one, two = made(3, 0.37), made(5, 2e5)  # a scale with which float16 would overflow
    found = weighted_sum([(0.3, one), (-1.7e-5, two)])
    exact = 0.3 * one.delta() - 1.7e-5 * two.delta()
    assert ((found.delta() - exact).norm() / exact.norm()).item() < 1e-6
    assert found.rank == 8
