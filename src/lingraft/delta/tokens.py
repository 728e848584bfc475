"""Language tokens that a base lacks: another vector is read where a relative's token stands.

Nothing is resized or written. A forward hook at each embedding puts a row's own vector in the place of its
relative's, for that row alone; the tables of encoder, decoder and output stay those of the base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lingraft.atoms import Role
from lingraft.base import Base
from lingraft.delta.bank import Token


class Tokens:
    """The tokens of the batch that is about to pass an encoder–decoder."""

    def __init__(self, base: Base) -> None:
        """Prepare for ``base``; nothing is replaced before ``set``."""
        self._base = base
        self._reading = Role.SOURCE
        self._there: dict[Role, tuple[Tensor, Tensor]] = {}  # id that is replaced [rows], by what [rows, d]

    def hooks(self) -> list[RemovableHandle]:
        """Hook the embeddings, and the stacks too: both may read through one and the same module."""
        model = self._base.model
        embeddings: dict[int, nn.Module] = {}
        handles = []
        for role in Role:
            path = self._base.embedding(role)
            embeddings.setdefault(id(model.get_submodule(path)), model.get_submodule(path))
            stack = model.get_submodule(path.rpartition(".")[0])
            handles.append(stack.register_forward_pre_hook(self._enter(role)))
        return handles + [module.register_forward_hook(self._replace) for module in embeddings.values()]

    def set(self, routes: Sequence[tuple[Sequence[Mapping[Role, Token]], int]]) -> None:
        """State the tokens of the coming batch.

        Args:
            routes: For each group of consecutive rows the tokens of its route's terms, and the number of its rows.
        """
        self._there = {}
        for role in Role:
            found = [next((each[role] for each in terms if role in each), None) for terms, _ in routes]
            if all(token is None for token in found):
                continue
            ids = [-1 if token is None else self._base.token(token.relative) for token in found]
            device = self._base.device
            counts = torch.tensor([rows for _, rows in routes])
            width = next(token.row.shape[0] for token in found if token is not None)
            # Expanded group by group: in the backward pass each vector gets the sum over its own rows alone.
            rows = [
                (torch.zeros(width, device=device) if token is None else token.row.to(device)).expand(count, width)
                for token, (_, count) in zip(found, routes, strict=True)
            ]
            self._there[role] = torch.tensor(ids).repeat_interleave(counts).to(device), torch.cat(rows)

    def _enter(self, role: Role) -> Any:
        def note(module: nn.Module, args: tuple[Any, ...]) -> None:
            self._reading = role

        return note

    def _replace(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if self._reading not in self._there:
            return None
        ids, values = self._there[self._reading]
        beams = output.shape[0] // ids.shape[0]  # beams of a row stand side by side
        here = args[0] == ids.repeat_interleave(beams)[:, None]  # N, T
        rows = values.repeat_interleave(beams, dim=0).to(output.dtype) * getattr(module, "embed_scale", 1.0)  # N, d
        return torch.where(here[..., None], rows[:, None], output)
