"""A penalty that keeps what input adapters write apart from what output adapters write.

The outputs of each site are divided into two halves, drawn once and for all by the site's name: one belongs to the
input adapters, the other to the output adapters. The penalty is the share of an adapter's B that lies in the other
half. At 0 the column spaces of any input and any output adapter are orthogonal, also of languages that were added
at different times and never saw each other. Ours; related to O-LoRA (Wang et al., Findings of EMNLP 2023), which
keeps the read spaces of successive tasks orthogonal and has to know the earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lingraft.atoms import Role, Site
from lingraft.delta import Update
from lingraft.fit.seed import seeded

_NOTHING = 1e-12
"""Added to the squared norm of B, which is zero before the first step."""


class Halves:
    """The updates of one adapter, and which of their outputs belong to the other role."""

    def __init__(self, updates: Mapping[Site, Update], role: Role) -> None:
        """Divide the outputs of each site of ``updates``.

        Args:
            updates: The updates in training.
            role: The role of their adapter.
        """
        self._parts = [(update.B, _foreign(site, update.B, role)) for site, update in updates.items()]

    def overlap(self) -> Tensor:
        """Return the mean over the sites of the share of ‖B‖² that lies in the other role's half, 0 … 1."""
        shares = [(foreign * b).square().sum() / (b.square().sum() + _NOTHING) for b, foreign in self._parts]
        return torch.stack(shares).mean()

    def pull(self, strength: float) -> None:
        """Add the gradient of ``strength`` · ``overlap()`` to that of each B."""
        (strength * self.overlap()).backward()


def _foreign(site: Site, b: Tensor, role: Role) -> Tensor:
    """Return [out, 1] with 1 where an output belongs to the other role; the same for all languages and seeds."""
    places = torch.randperm(b.shape[0], generator=seeded(0, "halves", site))
    mine = places[: len(places) // 2] if role is Role.SOURCE else places[len(places) // 2 :]
    foreign = torch.ones(b.shape[0], 1)
    foreign[mine] = 0
    return foreign.to(b.device)
