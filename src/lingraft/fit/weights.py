"""Tensors that are trained together, side by side in one: one clip, one optimiser step for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from lingraft.delta.arena import Arena, Place, settle

_ALIGN = 16  # values; the parts start where vector instructions like them to
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Weights:
    """Some tensors with an AdamW of their own, the best values so far, and what is held at zero."""

    def __init__(self, parts: Sequence[Tensor], *, betas: tuple[float, float] = (0.9, 0.98), eps: float = 1e-8) -> None:
        """Take over the storage of ``parts``; they stay the tensors that they are.

        Args:
            parts: Leaf tensors in float32 or float64, all of one type and device.
            betas: AdamW's coefficients.
            eps: AdamW's term against division by zero.
        """
        self.parts = list(parts)
        self._places: list[tuple[int, int]] = []
        end = 0
        for part in self.parts:
            start = -(-end // _ALIGN) * _ALIGN
            end = start + part.numel()
            self._places.append((start, end))
        like = self.parts[0].detach()
        self.values = like.new_zeros(end)
        _side_by_side([self])
        self.optimizer = torch.optim.AdamW([self.values], betas=betas, eps=eps, weight_decay=0, fused=True)
        self.alive: Tensor | None = None
        """1 where a value is trained, 0 where it is held at zero; None: all are trained."""
        self.best: Tensor | None = None

    def settle(self, arena: Arena, row: int) -> None:
        """Move values and gradient to a row of an arena."""
        place = lambda start, end: Place(arena, row, start, end)
        settle(self.values, place(0, len(self.values)))
        self.gradient = arena.gradient[row, : len(self.values)]
        for part, (start, end) in zip(self.parts, self._places, strict=True):
            settle(part, place(start, end))

    @property
    def layout(self) -> tuple[object, ...]:
        """What is equal where weights may lie in one arena."""
        return self.values.dtype, self.values.device, *(part.shape for part in self.parts)

    def split(self, flat: Tensor) -> list[Tensor]:
        """Return the parts of a tensor that is laid out like ``values``, as views."""
        return [flat[start:end].view(part.shape) for part, (start, end) in zip(self.parts, self._places, strict=True)]

    @torch.no_grad()
    def hold(self, alive: Sequence[Tensor | None]) -> None:
        """Set values to zero and hold them there.

        Args:
            alive: For each part, True where it is trained on; None: everywhere.
        """
        flat = torch.ones_like(self.gradient)
        for view, mask in zip(self.split(flat), alive, strict=True):
            if mask is not None:
                view.copy_(mask)
        self.alive = flat
        self._clear(flat)

    @torch.no_grad()
    def update(self, rate: float, clip: float, scale: float = 1.0) -> None:
        """Take one optimiser step from the gathered gradients, and forget them.

        Args:
            rate: The learning rate.
            clip: Highest norm of the gradient, over all parts together.
            scale: Factor of the gathered gradients, applied first.
        """
        if self.alive is not None:
            self.gradient.mul_(self.alive)
        norm = scale * torch.linalg.vector_norm(self.gradient)
        factor = scale * (clip / (norm + 1e-6)).clamp(max=1.0)
        if factor.device.type != "cpu" or factor != 1:  # elsewhere to look would be to wait
            self.gradient.mul_(factor)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        if self.alive is not None:
            self._clear(self.alive)
        self.gradient.zero_()

    def _clear(self, alive: Tensor) -> None:
        self.values.mul_(alive).add_(0.0)  # adding turns −0 into 0, which is not stored

    def keep(self) -> None:
        """Keep the present values as the best ones."""
        self.best = self.values.detach().clone()

    def kept(self) -> list[Tensor]:
        """Return a copy of the best values of each part, or of the present ones where none were kept."""
        flat = self.values if self.best is None else self.best
        return [part.detach().clone() for part in self.split(flat)]

    @torch.no_grad()
    def go_back(self) -> None:
        """Set the values to the best ones."""
        if self.best is not None:
            self.values.copy_(self.best)

    def state(self) -> dict[str, Tensor]:
        """Return everything that a checkpoint must hold, by name."""
        found = {"values": self.values.detach()}
        found |= {f"adam.{key}": value for key, value in self.optimizer.state.get(self.values, {}).items()}
        found |= {key: value for key, value in (("alive", self.alive), ("best", self.best)) if value is not None}
        return found

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over what ``state`` returned."""
        self.values.copy_(state["values"])
        like = self.values.device
        if "adam.step" in state:
            self.optimizer.state[self.values] = {key: state[f"adam.{key}"].to(like, copy=True) for key in _MOMENTS}
        self.alive = state["alive"].to(like) if "alive" in state else None
        self.best = state["best"].to(like) if "best" in state else None


def side_by_side(weights: Iterable[Weights]) -> None:
    """Let those of one layout lie in one arena: what they have at a site is read at once, and gradients likewise."""
    alike: dict[tuple[object, ...], list[Weights]] = {}
    for each in weights:
        alike.setdefault(each.layout, []).append(each)
    for members in alike.values():
        if len(members) > 1:
            _side_by_side(members)


def _side_by_side(alike: Sequence[Weights]) -> None:
    values = alike[0].values.detach()
    width = -(-len(values) // _ALIGN) * _ALIGN
    arena = Arena(*(values.new_zeros(len(alike), width) for _ in range(2)))
    for row, each in enumerate(alike):
        each.settle(arena, row)
