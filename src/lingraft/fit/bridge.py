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


def bridge(
    base: Base,
    english: Sequence[str],
    language: str,
    share: float,
    seed: int,
    *,
    epoch: int = 0,
    folder: Path | None = None,
    reporter: Reporter | None = None,
) -> Swapped:
    """Translate a share of English sentences into languages that the base knows, with the base alone.

    Args:
        base: The base; the languages are those of its card or tokenizer, without English.
        english: The sentences.
        language: The language being added, which is no bridge to itself.
        share: Which part of the rows to translate.
        seed: Decides which rows, and into which language.
        epoch: Another epoch draws other ones; counted from 0.
        folder: Where finished translations are kept, so that a run that goes on need not make them again;
            None: nowhere.
        reporter: Is told about progress.

    Returns:
        The translations by row; a row that comes out empty is left as it was.

    Raises:
        ConfigError: If the base knows no other language.
        TrainingError: If the disk failed.
    """
    if share == 0:
        return {}
    rows, chosen = _draw(base, english, language, share, seed, epoch)
    told, ready, what = reporter or Silent(), 0, f"bridging {language}" + (f", epoch {epoch + 1}" if epoch else "")
    told.prepare(what, 0, len(rows))

    def advance(count: int) -> None:
        nonlocal ready
        ready += count
        told.prepare(what, ready, len(rows))

    kept = None if folder is None else bridge_file(folder, base, english, language, share, seed, epoch=epoch)
    if kept is not None and kept.is_file():
        texts = json.loads(kept.read_text(encoding="utf-8"))
        advance(len(rows))
    else:
        with attach(base) as translator:
            directions = [Direction(ENGLISH, code) for code in chosen]
            texts = translator.translate([english[row] for row in rows], directions, progress=advance)
        if kept is not None:
            replace_file(kept, json.dumps(texts, ensure_ascii=False).encode())
    return {row: (code, text) for row, code, text in zip(rows, chosen, texts, strict=True) if text.strip()}


def bridge_file(
    folder: Path, base: Base, english: Sequence[str], language: str, share: float, seed: int, *, epoch: int = 0
) -> Path:
    """Return the file in which ``bridge`` keeps what it makes of the same arguments.

    Args:
        folder: Where translations are kept.
        base: The base.
        english: The sentences.
        language: The language being added.
        share: Which part of the rows is translated.
        seed: Decides which rows, and into which language.
        epoch: Another epoch draws other ones; counted from 0.

    Returns:
        The file, whether it is there or not.

    Raises:
        ConfigError: If the base knows no other language.
    """
    rows, chosen = _draw(base, english, language, share, seed, epoch)
    return folder / f"{language}-{_id(base, english, rows, chosen)}.json"


def _draw(
    base: Base, english: Sequence[str], language: str, share: float, seed: int, epoch: int
) -> tuple[list[int], list[str]]:
    """Return which rows get another language, and which language each."""
    known = [code for code in base.languages if code not in (ENGLISH, language)]
    if not known:
        raise ConfigError(
            f"`fit.bridge` must be 0 for a base that knows no language besides English, but is {share:g} instead."
        )
    generator = seeded(seed, "bridge", language, *([epoch] if epoch else []))
    rows = torch.randperm(len(english), generator=generator)[: round(share * len(english))].tolist()
    return rows, [known[i] for i in torch.randint(len(known), (len(rows),), generator=generator).tolist()]


def _id(base: Base, english: Sequence[str], rows: Sequence[int], chosen: Sequence[str]) -> str:
    """Return a hash of all that decides the translations."""
    asked = [(english[row], code) for row, code in zip(rows, chosen, strict=True)]
    return hashlib.sha256(repr((base.fingerprint, base.format.hash, asked)).encode()).hexdigest()[:16]
