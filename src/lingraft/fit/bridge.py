"""Bridges: rows whose English side the frozen base has put into another language that it knows.

An input adapter that only ever feeds English, and an output adapter that only ever reads English, meet
each other as strangers. With a share of bridged rows, the input adapter also serves other targets and the
output adapter other sources, so that the two fit together; the text is still paired with English alone.
Ours; related to sequence-level distillation (Kim and Rush 2016) and back-translation (Sennrich et al. 2016).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from lingraft.atoms import ENGLISH, ConfigError, Direction
from lingraft.base import Base
from lingraft.direction import attach
from lingraft.fit.files import replace_file
from lingraft.fit.report import Reporter, Silent
from lingraft.fit.seed import seeded

Swapped = dict[int, tuple[str, str]]
"""Row number → (language, the English sentence in that language)."""


@dataclass(frozen=True)
class Bridge:
    """Which rows of a text get another language in the place of English, for one epoch."""

    base: Base
    """Its languages are those of its card or tokenizer."""
    english: Sequence[str]
    """The English sentences of the text."""
    language: str
    """The language being added, which is no bridge to itself."""
    share: float
    """Which part of the rows is translated."""
    seed: int
    """Decides which rows, and into which language."""
    epoch: int = 0
    """Another epoch draws other ones; counted from 0."""
    folder: Path | None = None
    """Where finished translations are kept, so that a run that goes on need not make them again; None: nowhere."""

    def swapped(self, reporter: Reporter | None = None) -> Swapped:
        """Translate the rows' English sentences with the base alone, or read what was kept.

        Args:
            reporter: Is told about progress.

        Returns:
            The translations by row; a row that comes out empty is left as it was.

        Raises:
            ConfigError: If the base knows no language besides English and the one being added.
            TrainingError: If the disk failed.
        """
        if not self.share:
            return {}
        rows, chosen = self._drawn
        what = f"bridging {self.language}" + (f", epoch {self.epoch + 1}" if self.epoch else "")
        told, ready = reporter or Silent(), 0
        told.prepare(what, 0, len(rows))

        def advance(count: int) -> None:
            nonlocal ready
            ready += count
            told.prepare(what, ready, len(rows))

        if self.file is not None and self.file.is_file():
            texts = json.loads(self.file.read_text(encoding="utf-8"))
            advance(len(rows))
        else:
            with attach(self.base) as translator:
                directions = [Direction(ENGLISH, code) for code in chosen]
                texts = translator.translate([self.english[row] for row in rows], directions, progress=advance)
            if self.file is not None:
                replace_file(self.file, json.dumps(texts, ensure_ascii=False).encode())
        return {row: (code, text) for row, code, text in zip(rows, chosen, texts, strict=True) if text.strip()}

    @cached_property
    def file(self) -> Path | None:
        """Where the translations are kept, named by all that decides them; None: nowhere, or there are none."""
        if self.folder is None or not self.share:
            return None
        asked = [(self.english[row], code) for row, code in zip(*self._drawn, strict=True)]
        facts = self.base.fingerprint, self.base.format.hash, asked
        return self.folder / f"{self.language}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.json"

    @cached_property
    def _drawn(self) -> tuple[list[int], list[str]]:
        """Which rows get another language, and which language each."""
        known = [code for code in self.base.languages if code not in (ENGLISH, self.language)]
        if not known:
            raise ConfigError(
                "`fit.bridge` must be 0 for a base that knows no language besides English, but is "
                f"{self.share:g} instead."
            )
        generator = seeded(self.seed, "bridge", self.language, *([self.epoch] if self.epoch else []))
        rows = torch.randperm(len(self.english), generator=generator)[: round(self.share * len(self.english))].tolist()
        return rows, [known[i] for i in torch.randint(len(known), (len(rows),), generator=generator).tolist()]
