"""Products of rows with the factors of their groups as Triton programs, for GPUs; the module needs Triton.

Two programs do all of it, since a low-rank term and its gradients are the same product with the parts in other places:

- ``_product``: out[p, n] = Σₖ x[p, k] · w[g(p), n, k], where g(p) is the group of position p. It shrinks (w = A),
  expands onto what the base has put out (w = B), and gives the gradients of x and of what is at the rank (w turned).
- ``_outer``: Σₚ y[p, n] · x[p, k] over the positions of each group: the gradients of A and of B.

Rows are found by index and stay where they are; no factor is copied for a row. Groups without an update have no
program. Products are of bf16 or fp16 values, or fp32 ones in full precision, and are summed in fp32 (float64 in
float64). There are no atomic additions, so the same batch gives the same bits.

Bounds. ``_product`` reads each group's factor once for every tile of up to 64 positions. Where few positions meet a
long k, as in decoding, what each program would read one piece after the other is shared out among several, whose sums
are added up afterwards. Ranks are padded to the highest at a site, and the padding is read.

Tested on an H200, and elsewhere by Triton's interpreter (``TRITON_INTERPRET=1``); compiled for sm_80 and sm_90. The
first batch of a kind of shapes waits for the compiler, about a second for each program. Measured against ``grouped``
alone, where that need not move rows: slower in decoding (``benchmarks/README.md``).
"""

from __future__ import annotations

from typing import Any

import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from lingraft.delta.groups import Groups

_LEAST = 16  # the smallest side of a tensor core's tile
_BUSY = 512  # programs that keep a large GPU's processors busy
_TYPES = {
    torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float32: tl.float32, torch.float64: tl.float64,
}  # fmt: skip


def product(x: Tensor, w: Tensor, groups: Groups, live: tuple[bool, ...], onto: Tensor | None = None) -> Tensor:
    """Return for each position the product with its group's factor, with gradients of all three.

    Args:
        x: [N, T, K].
        w: [G, n, K]; gradients keep its type.
        groups: The group of each of the N rows.
        live: For each group whether its factor is there at all; where it is not, it counts as zero.
        onto: [N, T, n] to which the product is added in place; None: to zero, in at least fp32.

    Returns:
        ``onto``, or a tensor [N, T, n].
    """
    found: Tensor = _Product.apply(x, w, onto, groups, live)
    return found


class _Product(Function):
    """One ``_product`` forward; another one and an ``_outer`` backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, onto: Tensor | None, groups: Groups, live: tuple[bool, ...]) -> Tensor:
        dtype = x.dtype if onto is None else onto.dtype  # what is at the rank is kept in fp32, and multiplied in this
        ctx.groups, ctx.live, ctx.types = groups, live, (x.dtype, w.dtype, dtype)
        w = w.to(dtype)
        ctx.save_for_backward(x, w)
        if onto is None:
            return _run(x, w, groups, live, dtype, _summed(dtype))
        ctx.mark_dirty(onto)
        return _run(x, w, groups, live, dtype, onto.dtype, onto)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        x_type, w_type, dtype = ctx.types
        wants_x, wants_w, wants_onto, _, _ = ctx.needs_input_grad
        return (
            _run(gradient, w.mT, ctx.groups, ctx.live, dtype, x_type) if wants_x else None,
            _gathered(gradient, x, ctx.groups, ctx.live, dtype).to(w_type) if wants_w else None,
            gradient if wants_onto else None,
            None,
            None,
        )


def _run(
    x: Tensor,
    w: Tensor,
    groups: Groups,
    live: tuple[bool, ...],
    dtype: torch.dtype,
    out_type: torch.dtype,
    onto: Tensor | None = None,
) -> Tensor:
    """Start ``_product``: values are multiplied in ``dtype``, and put out in ``out_type`` or added to ``onto``."""
    length, n, k = x.shape[1], w.shape[1], w.shape[2]
    flat = _flat(x)
    few = max(groups.counts) * length <= _LEAST
    block_m = _side(max(groups.counts) * length, 64)
    block_n = _side(n, 32 if n < k else 128)
    block_k = _side(k, (512 if few else 128) // dtype.itemsize)
    tiles = groups.tiles(length, block_m, live)
    programs, splits = len(tiles) * triton.cdiv(n, block_n), 1
    if onto is None and out_type == _summed(out_type) and programs:
        splits = max(1, min(triton.cdiv(k, 2 * block_k), _BUSY // programs))
    if onto is None:
        made = torch.empty if all(live) else torch.zeros
        out = made(splits, *x.shape[:2], n, dtype=out_type, device=x.device)
        places = out.view(splits, -1, n)
    else:
        places = onto.view(1, -1, n)
    if programs:
        share = triton.cdiv(triton.cdiv(k, block_k), splits) * block_k
        with torch.cuda.device_of(x):
            _product[(len(tiles), triton.cdiv(n, block_n), splits)](
                flat, w, places, tiles, groups.standing, length, n, k,
                flat.stride(0), *w.stride(), *places.stride()[:2], share,
                ADD=onto is not None, TYPE=_TYPES[dtype], SUM=_TYPES[_summed(dtype)], WIDE=_wide(dtype),
                M=block_m, N=block_n, K=block_k,
            )  # fmt: skip
    if onto is not None:
        return onto
    return out[0] if splits == 1 else out.sum(0)


def _gathered(y: Tensor, x: Tensor, groups: Groups, live: tuple[bool, ...], dtype: torch.dtype) -> Tensor:
    """Start ``_outer``: [N, T, n] and [N, T, k] to [G, n, k], in at least fp32."""
    n, k = y.shape[2], x.shape[2]
    left, right = _flat(y), _flat(x)
    made = torch.empty if all(live) else torch.zeros
    out = made(len(groups), n, k, dtype=_summed(dtype), device=x.device)
    whole = groups.tiles(x.shape[1], None, live)
    block_n, block_k = _side(n, 64), _side(k, 64)
    if len(whole):
        with torch.cuda.device_of(x):
            _outer[(len(whole), triton.cdiv(n, block_n), triton.cdiv(k, block_k))](
                left, right, out, whole, groups.standing, x.shape[1], n, k, left.stride(0), right.stride(0),
                TYPE=_TYPES[dtype], SUM=_TYPES[_summed(dtype)], WIDE=_wide(dtype), M=32, N=block_n, K=block_k,
            )  # fmt: skip
    return out


def _flat(t: Tensor) -> Tensor:
    """Return [N, T, d] as [N · T, d] whose last values stand side by side; a part of a wider tensor stays one."""
    flat = t.reshape(-1, t.shape[-1])
    return flat if flat.stride(1) == 1 else flat.contiguous()


def _side(size: int, most: int) -> int:
    """Return the side of a tile for a dimension of this size: a power of two."""
    return max(_LEAST, min(most, triton.next_power_of_2(size)))


def _summed(dtype: torch.dtype) -> torch.dtype:
    """Return what products of a type are summed in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _wide(dtype: torch.dtype) -> bool:
    """Whether products are taken of wider values: the interpreter rounds to bf16, but cannot multiply in it."""
    return dtype == torch.bfloat16 and not isinstance(_product, triton.runtime.JITFunction)


@triton.jit(do_not_specialize=["length", "out_split", "share"])  # type: ignore[untyped-decorator,unused-ignore]
def _product(
    x: tl.tensor, w: tl.tensor, out: tl.tensor, tiles: tl.tensor, standing: tl.tensor,
    length: tl.tensor, n_size: tl.tensor, k_size: tl.tensor, x_row: tl.tensor, w_group: tl.tensor,
    w_n: tl.tensor, w_k: tl.tensor, out_split: tl.tensor, out_row: tl.tensor, share: tl.tensor,
    ADD: tl.constexpr, TYPE: tl.constexpr, SUM: tl.constexpr, WIDE: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr,
) -> None:  # fmt: skip
    tile, split = tiles + 3 * tl.program_id(0), tl.program_id(2)
    at = tl.load(tile + 1) + tl.arange(0, M)  # positions, group by group
    here = (at < tl.load(tile + 2))[:, None]
    row = tl.load(standing + at // length, mask=at < tl.load(tile + 2), other=0) * length + at % length
    n = tl.program_id(1) * N + tl.arange(0, N)
    factor = w + tl.load(tile) * w_group + n[None, :] * w_n
    total = tl.zeros((M, N), dtype=SUM)
    for start in range(split * share, tl.minimum(split * share + share, k_size), K):
        k = start + tl.arange(0, K)
        inside = k < k_size
        a = tl.load(x + row[:, None] * x_row + k[None, :], mask=here & inside[None, :], other=0).to(TYPE)
        b = tl.load(factor + k[:, None] * w_k, mask=inside[:, None] & (n < n_size)[None, :], other=0).to(TYPE)
        if WIDE:
            a, b = a.to(SUM), b.to(SUM)
        total = tl.dot(a, b, total, input_precision="ieee", out_dtype=SUM)
    place = out + split * out_split + row[:, None] * out_row + n[None, :]
    mask = here & (n < n_size)[None, :]
    if ADD:
        total += tl.load(place, mask=mask, other=0).to(SUM)
    tl.store(place, total.to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["length"])  # type: ignore[untyped-decorator,unused-ignore]
def _outer(
    y: tl.tensor, x: tl.tensor, out: tl.tensor, whole: tl.tensor, standing: tl.tensor,
    length: tl.tensor, n_size: tl.tensor, k_size: tl.tensor, y_row: tl.tensor, x_row: tl.tensor,
    TYPE: tl.constexpr, SUM: tl.constexpr, WIDE: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr,
) -> None:  # fmt: skip
    group = whole + 3 * tl.program_id(0)
    stop = tl.load(group + 2)
    n = tl.program_id(1) * N + tl.arange(0, N)
    k = tl.program_id(2) * K + tl.arange(0, K)
    total = tl.zeros((N, K), dtype=SUM)
    for start in range(tl.load(group + 1), stop, M):
        at = start + tl.arange(0, M)
        here = at < stop
        row = tl.load(standing + at // length, mask=here, other=0) * length + at % length
        a = tl.load(y + row[None, :] * y_row + n[:, None], mask=(n < n_size)[:, None] & here[None, :], other=0)
        b = tl.load(x + row[:, None] * x_row + k[None, :], mask=here[:, None] & (k < k_size)[None, :], other=0)
        a, b = a.to(TYPE), b.to(TYPE)
        if WIDE:
            a, b = a.to(SUM), b.to(SUM)
        total = tl.dot(a, b, total, input_precision="ieee", out_dtype=SUM)
    place = out + tl.load(group) * n_size * k_size + n[:, None] * k_size + k[None, :]
    tl.store(place, total, mask=(n < n_size)[:, None] & (k < k_size)[None, :])
