"""Language modules with a manifest, small enough that a tiny base stays one that ends its sentences."""

from __future__ import annotations

import hashlib

import banks
from lingraft.atoms import Role
from lingraft.base import Base
from lingraft.corpus.profile import Profile
from lingraft.library import DataSource, LanguageModule, Record, Training


def record() -> Record:
    settings = {"rank": 3}
    training = Training(seed=1, settings=settings, steps=3, best_epoch=1, dev_loss=2.5, lingraft="0", torch="2")
    return Record(data=(DataSource(origin="made up", pairs=7),), training=training)


def module(base: Base, language: str, version: int = 0) -> LanguageModule:
    """Both adapters of a language; each version translates otherwise than any other."""
    seed = int(hashlib.sha256(f"{language} {version}".encode()).hexdigest()[:6], 16)
    parts = [banks.adapter(base, language, role, scoped=True, seed=seed, size=1.0) for role in Role]
    return LanguageModule(*parts, record(), record(), Profile.train(language, [f"the words of {language}"]))
