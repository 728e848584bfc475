"""Survivals to look at: a small one as numbers, and a tiny base's library that was pruned."""

from __future__ import annotations

from pathlib import Path

import banks
import tiny
from lingraft.atoms import Role, Site
from lingraft.base import load
from lingraft.corpus.profile import Profile
from lingraft.delta import Adapter, Bank, Update
from lingraft.delta.prune import select
from lingraft.library import DataSource, LanguageModule, Library, Record, Training
from lingraft.probe import Cell, Survival

DEMAND = {"deu_Latn": 0.1, "epo_Latn": 0.3, "fra_Latn": 0.2}
"""The size of each language's B: a larger one keeps more where languages compete."""


def made(survivors: dict[str, int], rank: int = 4, entries: int = 1000) -> Survival:
    """One update per language, of which so many entries are left."""
    site = Site("encoder", 0, "q")
    return Survival(tuple(Cell(code, Role.SOURCE, site, rank, n, entries) for code, n in survivors.items()))


def indexed(adapter: Adapter) -> Adapter:
    """Keep what a joint regime has: source updates in the encoder's layer 0, target updates in all others."""
    own = lambda site: (site.stack == "encoder" and site.layer == 0) == (adapter.role is Role.SOURCE)
    updates = {s: Update(u.A, u.B.clone(), u.scale) for s, u in adapter.updates.items() if own(s)}
    return Adapter(adapter.language, adapter.role, adapter.scope, updates)


def bank(base, share: float = 0.8, scope: str = "layer") -> Bank:
    """A pruned bank."""
    adapters = [
        indexed(banks.adapter(base, code, role, rank=2, size=size)) for code, size in DEMAND.items() for role in Role
    ]
    updates = {each.name: each.updates for each in adapters}
    banks.clear(updates, select(updates, share, scope))  # type: ignore[arg-type]
    return Bank(adapters)


def library(folder: Path, share: float = 0.8, scope: str = "layer") -> tuple[Path, Path]:
    """Write a base and a library of pruned adapters; return both folders."""
    where = tiny.base("m2m_100", folder)
    base = load(str(where))
    training = Training(seed=0, settings={}, steps=1, best_epoch=1, dev_loss=None, lingraft="0", torch="2", command="")
    record = Record(data=(DataSource(origin="toy", pairs=1),), training=training)
    adapters = bank(base, share, scope)
    modules = {
        code: LanguageModule(
            *(adapters[code, role] for role in Role),  # type: ignore[index]
            record,
            record,
            Profile.train(code, [f"words of {code}"]),
        )
        for code in DEMAND
    }
    Library.create(folder / "library", base, scope="everywhere").add(modules)
    return folder / "library", where
