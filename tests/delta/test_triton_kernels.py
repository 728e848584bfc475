"""The fused kernel against the formula: on a GPU where there is one, else by Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixes import case, formula, leaves, run

import banks
import tiny
from lingraft.atoms import Direction
from lingraft.delta import Plan, Routing
from lingraft.delta.groups import Groups
from lingraft.delta.kernels import KERNELS, has_triton
from lingraft.delta.stack import Mix, Stack
from lingraft.direction import Recipe, route

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = [
    pytest.mark.skipif(not has_triton(), reason="Triton is not installed: `pip install triton` into the environment"),
    pytest.mark.skipif(
        DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1",
        reason="Triton was imported before its interpreter was asked for: set TRITON_INTERPRET=1",
    ),
]


EXACT, NOISE = (torch.float32, 1e-3) if DEVICE == "cuda" else (torch.float64, 1e-10)


def close(found: torch.Tensor, wanted: torch.Tensor, most: float) -> None:
    assert (found.double() - wanted).norm() <= most * wanted.norm() + 1e-12


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 4), spans=st.booleans(), sites=st.integers(1, 3))
def test_it_is_the_formula_forward_and_backward(seed, count, spans, sites):
    x, stack, bases, groups, span = case(seed, count, spans, sites, EXACT, DEVICE)
    double = lambda t: None if t is None else t.detach().double().requires_grad_(t.requires_grad)
    exact = [[m and Mix(*map(double, m)) for m in mixes] for mixes in stack]
    wide = [double(x), exact, [double(b) for b in bases], groups, double(span)]
    found, wanted = run("fused", x, stack, bases, groups, span), formula(*wide)
    for a, b in zip(found, wanted, strict=True):
        close(a, b, NOISE)
    total = lambda outs: sum((out.sin() * (i + 1)).sum() for i, out in enumerate(outs))
    ours = torch.autograd.grad(total(found), leaves(x, stack, bases), allow_unused=True)
    theirs = torch.autograd.grad(total(wanted), leaves(*wide[:3]), allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        close(a if a is not None else torch.zeros_like(b), b, NOISE)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02), (torch.float16, 0.003)])
@pytest.mark.parametrize("length", [1, 9])
def test_wide_shapes_of_mixed_ranks_in_every_precision_forward_and_backward(dtype, most, length):
    """Several tiles along every side, shares of the long one, a group without an update, trained factors in fp32."""
    g = torch.Generator().manual_seed(5)
    randn = lambda *shape: torch.randn(*shape, generator=g).to(DEVICE)
    owners = [0, 1, 2, 1, 0, 3, 3, 3, 2, 1]
    ranks = [[8, 20, None, 3], [8, 5, None, None]]
    x, groups = randn(10, length, 1100), Groups(owners, DEVICE)
    mixes = [[r and Mix(randn(r, 1100) / 33, randn(140, r), randn(r), None) for r in each] for each in ranks]
    bases, results = [randn(10, length, 140) for _ in mixes], []
    for kind, name in ((torch.float64, "segments"), (dtype, "fused")):
        cast = lambda t, kind: t.to(kind).detach().requires_grad_()
        own = kind if kind is torch.float64 else torch.float32
        stack = [[m and Mix(cast(m.A, own), cast(m.B, own), m.target_gain.to(own), None) for m in s] for s in mixes]
        given_ = cast(x, kind), stack, [cast(b, kind) for b in bases]
        outs = run(name, *given_, groups, None)
        wanted = [given_[0], *(t for s in stack for m in s if m is not None for t in (m.A, m.B))]
        results.append([*outs, *torch.autograd.grad(sum(out.square().sum() for out in outs), wanted)])
    for exact, found in zip(*results, strict=True):
        close(found, exact, most)


def test_without_gradients_it_reads_what_is_stacked_once_and_gives_the_same_bits_again():
    x, stack, bases, groups, span = case(3, 4, True, 2, torch.float32, DEVICE)
    with torch.no_grad():
        kept, wanted = Stack(stack), run("segments", x, stack, bases, groups, span)
        found = []
        for _ in range(2):
            made = KERNELS["fused"].shrink(x, kept, groups, span)
            found.append([KERNELS["fused"].expand(b.clone(), m, groups) for b, m in zip(bases, made, strict=True)])
    for one, other, reference in zip(*found, wanted, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, reference, rtol=1e-4, atol=1e-5)


COMPILE = """
import triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from lingraft.delta import triton_kernels
common = dict(TYPE=tl.bfloat16, SUM=tl.float32, WIDE=False)
for fn, sides in (("_product", (16, 32, 256)), ("_product", (64, 128, 16)), ("_outer", (32, 16, 64))):
    fn, fixed = getattr(triton_kernels, fn), dict(common, **dict(zip("MNK", sides)))
    fixed |= {"ADD": sides[0] == 64} if fn.__name__ == "_product" else {}
    pointers = dict(x="*bf16", y="*bf16", w="*bf16", out="*fp32", tiles="*i64", whole="*i64", standing="*i64")
    names = [each.name for each in fn.params]
    signature = {name: "constexpr" if name in fixed else pointers.get(name, "i32") for name in names}
    places = {(names.index(name),): value for name, value in fixed.items()}
    source = triton.compiler.ASTSource(fn, signature=signature, constexprs=places)
    assert "mma" in triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ptx"]
"""


def test_it_compiles_for_tensor_cores_without_a_gpu(tmp_path):
    """What the interpreter takes, the compiler may still refuse."""
    env = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    env |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("scoped", [True, False])
def test_a_base_under_it_has_the_logits_of_the_reference(scoped):
    base = tiny.load("llama")
    if DEVICE == "cuda":
        base.model.to(DEVICE)
    found = banks.bank(base, scoped=scoped)
    pairs = [Direction("deu_Latn", "fra_Latn"), Direction("epo_Latn", "ita_Latn")]
    rows = [route(found, Recipe(), pairs[0]), (), route(found, Recipe(), pairs[1])]
    span = torch.tensor([[True, True, False]] * 3, device=DEVICE)
    ids = torch.randint(4, 200, (3, 3), generator=torch.Generator().manual_seed(1)).to(DEVICE)
    logits = []
    for name in ("segments", "fused"):
        with Routing(base, name) as routing, torch.no_grad():
            routing.use(Plan(base, rows, span))
            logits.append(base.model(input_ids=ids).logits)
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)
