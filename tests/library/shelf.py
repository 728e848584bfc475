"""A base without a model, language modules to put on a shelf, and pictures of a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import torch

from lingraft.atoms import Role, Scope, Site
from lingraft.base import find_sites
from lingraft.base.families import family_of
from lingraft.corpus.profile import Profile
from lingraft.delta import Adapter, Update
from lingraft.library import DataSource, LanguageModule, Record, Scored, Training

LANGUAGES = ("deu_Latn", "epo_Latn", "fra_Latn")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def base(
    name: str = "base", layers: int = 2, names: str = "", model=None, model_type: str = "llama"
) -> SimpleNamespace:
    """A base with the sites of a model, or of a Llama with 8 → 8 and 8 → 12 maps that has no model."""
    family = family_of(model_type)
    if model is None:
        inner = family.stacks["decoder"].sites
        sites = {
            Site("decoder", i, s): f"model.layers.{i}.{p}"
            for i in range(layers)
            for s, p in inner.items()
            if not names or s in names
        }
        shape = lambda site: (12, 8) if site.name in ("gate", "up") else (8, 12) if site.name == "down" else (8, 8)
    else:
        sites = find_sites(model, family, model.config)
        shape = lambda site: tuple(model.get_submodule(sites[site]).weight.shape)
    spec = {"kind": "prompt", "source": "{source}: {text}\n", "target": "{target}:", "answer": " {text}"}
    return SimpleNamespace(
        id=name,
        revision=None,
        model=model,
        family=family,
        sites=sites,
        shape=shape,
        fingerprint=_hash(name),
        tokenizer_hash=_hash("tokenizer"),
        device=torch.device("cpu"),
        format=SimpleNamespace(hash=_hash("format"), spec=lambda: spec),
    )


def adapter(
    base, language: str, role: Role, *, seed: int = 0, dtype=torch.float32, ranks=(2,), alphas=(2.0,), scoped=True
):
    """A random adapter at every site, whose ranks and alphas cycle through the given ones."""
    words = f"{seed} {language} {role}"
    generator = torch.Generator().manual_seed(int(_hash(words)[:8], 16))
    updates = {}
    for i, site in enumerate(base.sites):
        rank, alpha, (out, inner) = ranks[i % len(ranks)], alphas[i % len(alphas)], base.shape(site)
        a, b = (torch.randn(*shape, generator=generator).to(dtype) for shape in ((rank, inner), (out, rank)))
        updates[site] = Update(A=a, B=b, scale=alpha / rank)
    return Adapter(language, role, Scope(role.value) if scoped else Scope.EVERYWHERE, updates)


def pruned(adapter: Adapter, density: float, factors: str = "B", seed: int = 0) -> Adapter:
    """The same adapter with that share of the values of B (or of A and B) left, and a −0.0 among them."""
    generator = torch.Generator().manual_seed(seed)
    updates = {}
    for site, update in adapter.updates.items():
        parts = {"A": update.A.clone(), "B": update.B.clone()}
        for factor in factors:
            parts[factor][torch.rand(parts[factor].shape, generator=generator) >= density] = 0.0
            parts[factor][0, 0] = -0.0
        updates[site] = Update(parts["A"], parts["B"], update.scale)
    return Adapter(adapter.language, adapter.role, adapter.scope, updates)


def profile(language: str) -> Profile:
    """What that language looks like."""
    return Profile.train(language, [f"the words of {language}"])


def record() -> Record:
    """A made-up origin."""
    return Record(
        data=(DataSource(origin="made | up", pairs=7, licence="CC0-1.0"),),
        training=Training(
            seed=1, settings={"rank": 2}, steps=3, best_epoch=1, dev_loss=2.5, lingraft="0", torch="2", command="`x`"
        ),
        scores=(Scored(direction="deu_Latn-eng_Latn", metric="chrF++", value=31.4, signature="nrefs:1"),),
    )


def module(base, language: str, **options) -> LanguageModule:
    """Both adapters of a language."""
    parts = [adapter(base, language, role, **options) for role in Role]
    return LanguageModule(*parts, record(), record(), profile(language))


def picture(path: Path, without: str = "\0") -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of every file whose path doesn't hold ``without``; the lock is none of them."""
    return {
        str(file.relative_to(path)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in sorted(path.rglob("*"))
        if file.is_file() and without not in str(file) and file.name != ".lock"
    }


def same(one: Adapter, other: Adapter) -> bool:
    """Whether two adapters are equal, bit for bit."""
    return (
        (one.name, one.scope, list(one.updates)) == (other.name, other.scope, list(other.updates))
        and all(one.updates[site].scale == other.updates[site].scale for site in one.updates)
        and all(
            x.dtype == y.dtype and torch.equal(x.view(torch.uint8), y.view(torch.uint8))
            for site in one.updates
            for x, y in zip(_factors(one.updates[site]), _factors(other.updates[site]), strict=True)
        )
    )


def _factors(update: Update) -> tuple[torch.Tensor, torch.Tensor]:
    return update.A, update.B
