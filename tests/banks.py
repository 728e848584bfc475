"""Banks of random adapters for tests, and reference results in float64."""

from __future__ import annotations

import torch

from lingraft.atoms import Role, Scope
from lingraft.base import Base
from lingraft.delta import Adapter, Bank, Update

LANGUAGES = ("deu_Latn", "epo_Latn", "fra_Latn", "ita_Latn", "spa_Latn")


def adapter(
    base: Base,
    language: str,
    role: Role,
    *,
    scoped: bool = False,
    rank: int | None = 3,
    size: float = 0.3,
    seed: int = 0,
) -> Adapter:
    """A random adapter; ``rank=None`` draws another rank and scale at each site."""
    generator = torch.Generator().manual_seed(hash((seed, *language.encode(), role is Role.SOURCE)) % 2**31)
    draw = lambda low, high: int(torch.randint(low, high, (), generator=generator))
    updates = {}
    for site in base.sites:
        out, inn = base.shape(site)
        r = rank or draw(1, 6)
        a = torch.randn(r, inn, generator=generator) / inn**0.5
        b = torch.randn(out, r, generator=generator) * size
        updates[site] = Update(a.to(base.device), b.to(base.device), 1.0 if rank else draw(1, 5) / 2)
    scope = (Scope.SOURCE if role is Role.SOURCE else Scope.TARGET) if scoped else Scope.EVERYWHERE
    return Adapter(language, role, scope, updates)


def bank(base: Base, languages: tuple[str, ...] = LANGUAGES, **options: object) -> Bank:
    """Both adapters of each language."""
    return Bank(adapter(base, language, role, **options) for language in languages for role in Role)  # type: ignore[arg-type]


@torch.no_grad()
def clear(updates, masks) -> None:
    """Set what masks of `lingraft.delta.prune` do not keep to 0, in place."""
    for name, sites in masks.items():
        for site, mask in sites.items():
            for factor, keep in zip((updates[name][site].A, updates[name][site].B), mask, strict=True):
                if keep is not None:
                    factor.masked_fill_(~keep, 0.0)
