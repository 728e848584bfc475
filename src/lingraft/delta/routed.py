"""The routed layers of a base: each row of a batch gets its own weighted set of updates.

Nothing of the base is replaced or written: a forward hook at each site adds the low-rank term to the
output, so detaching restores the base exactly, and a quantised linear map is served like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lingraft.atoms import Site
from lingraft.base import Base
from lingraft.delta import kernels
from lingraft.delta.groups import Groups
from lingraft.delta.kernels import Kernel, Shrunk
from lingraft.delta.plan import Pass, Passes, Plan
from lingraft.delta.route import Route
from lingraft.delta.tokens import Tokens

_ACTING: WeakKeyDictionary[nn.Module, ref[Routing]] = WeakKeyDictionary()
"""Whose plan acts on a model."""


class Routing(AbstractContextManager["Routing"]):
    """Hooks on every site of a base, and the plan of the batch that is about to pass.

    Use as a context manager; within it, call ``set`` or ``use`` before each forward pass or generation. Of several on
    one base that which was told last acts alone.
    """

    def __init__(self, base: Base, kernel: str | None = None) -> None:
        """Prepare routing for ``base``; ``kernel`` overrides the choice by shape."""
        self.base = base
        self._kernel = None if kernel is None else kernels.KERNELS[kernel]
        self._decoder_only = base.family.kind == "decoder"
        self._handles: list[RemovableHandle] = []
        self._tokens = Tokens(base)
        self._plan: Plan | None = None
        self._expected: Plan | None = None
        self._passes: Passes = {}
        self._input: Tensor | None = None  # what the site before has read
        self._ready: dict[int, tuple[Kernel, Groups, list[Shrunk]]] = {}  # what came of it for the sites after it
        self._span_now: Tensor | None = None  # rows of the pass, T of the pass, 1

    def __enter__(self) -> Routing:
        for site in self.base.sites:
            self._handles.append(self.base.module(site).register_forward_hook(self._hook(site)))
        if self._decoder_only:
            decoder = self.base.model.get_decoder()
            self._handles.append(decoder.register_forward_pre_hook(self._before, with_kwargs=True))
        else:
            self._handles += self._tokens.hooks()
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._rest()

    def _rest(self) -> None:
        """Add nothing until a plan is stated."""
        self._plan, self._passes, self._span_now = None, {}, None
        self._tokens.set(())
        self._forget()
        if _acting(self.base) is self:
            del _ACTING[self.base.model]

    def expect(self, routes: Sequence[Route]) -> None:
        """State the routes of which the batches to come are made; what they add is looked up once for all of them.

        Args:
            routes: The routes. What the last call has looked up is taken over for those that are the same objects; not
                sums of what is in training.
        """
        self._expected = Plan(self.base, routes, before=self._expected)
        self._expected.passes()

    def set(self, routes: Sequence[tuple[Route, int]], span: Tensor | None = None) -> None:
        """State the routes of the coming batch.

        Args:
            routes: For each group of consecutive rows its route and the number of its rows.
            span: For decoder-only bases, bool [rows, T]: True where a position of the prompt (or of
                the training sequence) belongs to the source span. Positions past T are target span.
        """
        every = [route for route, rows in routes for _ in range(rows)]
        self.use(Plan(self.base, every, span, before=self._expected))

    def use(self, plan: Plan) -> None:
        """State the plan of the coming batch; a plan may be used again.

        Rows of several directions may be packed into long ones, in a decoder-only base: a plan of B · L rows routes
        each position of a batch [B, L] by itself, row by row. Its span is [B, L] then. Position ids, and attention
        that stays within a packed row, are the caller's.
        """
        if (acting := _acting(self.base)) is not self:
            if acting is not None:
                acting._rest()
            _ACTING[self.base.model] = ref(self)
        self._plan = plan
        self._span_now = None
        self._forget()
        if self._decoder_only:
            # Which span passes is known before the first layer; see ``_before``.
            self._passes = plan.passes(target=True) if plan.span is None else {}
        else:
            self._passes = plan.passes()
            self._tokens.set(plan.tokens())

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Cut the window of the span that this pass covers, from the length of its cache."""
        if self._plan is None or self._plan.span is None:
            return
        span = self._plan.span
        ids = kwargs.get("input_ids")
        ids = args[0] if ids is None and args else ids
        ids = kwargs["inputs_embeds"] if ids is None else ids
        cache = kwargs.get("past_key_values")
        offset = 0 if cache is None else int(cache.get_seq_length())
        rows, length = ids.shape[:2]
        if offset >= span.shape[1]:
            self._span_now, self._passes = None, self._plan.passes(target=True)
            return
        window = span[:, offset : offset + length]
        window = nn.functional.pad(window, (0, length - window.shape[1]))
        self._span_now = window.repeat_interleave(rows // window.shape[0], dim=0)[..., None]
        self._passes = self._plan.passes()

    def _hook(self, site: Site) -> Any:
        def add(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            passes = self._passes.get(site, ())
            for each, place in passes:
                kernel, groups, shrunk = self._shrunk(each, place, args[0], output.dtype)
                onto = _laid(output, each.groups.rows)
                output = kernel.expand(onto, shrunk[place], groups).view(output.shape)
            return output if passes else None

        return add

    def _shrunk(self, each: Pass, place: int, x: Tensor, dtype: torch.dtype) -> tuple[Kernel, Groups, list[Shrunk]]:
        """Return what a pass makes of an input [N, T, in]: once for all sites that read this very tensor."""
        if x is not self._input:
            self._input, self._ready = x, {}
        found = self._ready.get(id(each))
        if found is None:
            x = _laid(x, each.groups.rows)
            groups = each.groups.repeat(x.shape[0] // each.groups.rows)  # beams of a row stand side by side
            kernel = self._kernel or kernels.KERNELS[kernels.choose(groups, x.shape[1], max(each.stack.ranks))]
            span = None if self._span_now is None else _laid(self._span_now, each.groups.rows).to(dtype)
            found = self._ready[id(each)] = kernel, groups, kernel.shrink(x.to(dtype), each.stack, groups, span)
        if place == len(each.stack.sites) - 1:
            del self._ready[id(each)]
        return found

    def _forget(self) -> None:
        self._input, self._ready = None, {}


def _acting(base: Base) -> Routing | None:
    found = _ACTING.get(base.model)
    return None if found is None else found()


def _laid(t: Tensor, rows: int) -> Tensor:
    """Return [N, T, d] with as many rows as a plan has, where these are packed into fewer."""
    return t if t.shape[0] >= rows else t.view(rows, -1, t.shape[2])
