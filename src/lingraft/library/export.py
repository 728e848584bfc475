"""Write a direction or an adapter for other programs: as a PEFT folder, or as a whole merged model."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError

from lingraft.atoms import AdapterName, Direction, LibraryError, Role, Scope, Site
from lingraft.base import Base
from lingraft.delta import Token, Update
from lingraft.direction import merge
from lingraft.library import disk
from lingraft.library.folder import save, save_composition
from lingraft.library.store import Library
from lingraft.library.using import router

SPANS = (
    "the adapters of {direction} were trained to act on their own spans, and neither a PEFT adapter nor a merged model "
    "knows spans, so here they act everywhere, and it will translate worse than the library does. Measure it before "
    "use, or train with fit.scope=everywhere for export."
)
SPAN = (
    "the adapter {name} was trained to act on its own span, and PEFT knows no spans, so with PEFT it acts everywhere. "
    "Measure it before use, or train with fit.scope=everywhere for export."
)

MERGED = (
    "`--merged` must come with languages that have tokens in the base, but {direction} has one that borrows another's: "
    "in a merged model the two would be the same. Leave `--merged` out; a PEFT adapter keeps them apart."
)


def export_direction(library: Library, direction: Direction, folder: Path, *, merged: bool = False) -> str | None:
    """Write a direction as a PEFT adapter, or as a model folder with ΔW added to a copy of the base.

    Args:
        library: The library with its base.
        direction: The pair of languages.
        folder: A new folder.
        merged: Whether to write a whole model.

    Returns:
        A warning where what was written does not act as the library does, else None.

    Raises:
        LibraryError: If the direction is not offered or has no adapter, the folder exists, or a merged model could
            not tell a language from the one whose token it borrows.
    """
    _require_new(folder)
    if direction.source == direction.target:
        raise LibraryError(f"`direction` must have two languages, but is {direction}.")
    terms = router(library, [direction])(direction)
    if not terms:
        raise LibraryError(f"{direction} must have an adapter to export, but both its languages are the base's own.")
    spans = library.base.family.kind == "decoder" and any(term.scope is not Scope.EVERYWHERE for term in terms)
    flat = merge(direction, [term._replace(scope=Scope.EVERYWHERE) for term in terms])
    updates = flat.updates[Scope.EVERYWHERE]
    if merged:
        if flat.tokens:
            raise LibraryError(MERGED.format(direction=direction))
        _write_merged(library.base, updates, folder)
    else:
        save_composition(updates, library.base, folder, flat.tokens)
    warnings = [SPANS.format(direction=direction)] if spans else []
    languages = {Role.SOURCE: direction.source, Role.TARGET: direction.target}
    warnings += [_borrows(languages[role], token) for role, token in flat.tokens.items()]
    return " ".join(warnings) or None


def export_adapter(library: Library, name: AdapterName, folder: Path) -> str | None:
    """Write an installed adapter as a PEFT folder, with its manifest and model card, whether it is packed or not.

    Args:
        library: The library with its base.
        name: The adapter's language and role.
        folder: A new folder.

    Returns:
        A warning where PEFT does not act as the library does, else None.

    Raises:
        AdapterError: The adapter's files are damaged.
        LibraryError: The language isn't installed, or the folder exists or cannot be written.
    """
    _require_new(folder)
    loaded = library.stored(*name)
    save(loaded.adapter, library.base, loaded.manifest.record, loaded.profile, folder)
    spans = library.base.family.kind == "decoder" and loaded.adapter.scope is not Scope.EVERYWHERE
    if loaded.adapter.token is not None:
        return _borrows(name.language, loaded.adapter.token)
    return SPAN.format(name=name) if spans else None


def _borrows(language: str, token: Token) -> str:
    return (
        f"the tokenizer has no token for {language}. Where its language token would stand, put that of "
        f"{token.relative}: with this adapter the model reads it as {language}'s."
    )


def _require_new(folder: Path) -> None:
    if folder.exists():
        raise LibraryError(f"`--to` must be a new folder, but {folder} exists. Choose another one.")


@torch.no_grad()
def _write_merged(base: Base, updates: Mapping[Site, Update], folder: Path) -> None:
    """Write a copy of the base with ΔW added in float64, whole or not at all; the base stays as it is."""
    model = copy.deepcopy(base.model)
    for site, update in updates.items():
        weight = model.get_submodule(base.sites[site]).weight
        weight.copy_((weight.double() + update.delta().to(weight.device)).to(weight.dtype))
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".export-", dir=folder.parent))
        model.save_pretrained(draft)
        base.tokenizer.save_pretrained(draft)
        os.chmod(draft, 0o755)
        disk.sync_all(draft)
        draft.rename(folder)
        disk.sync_folder(folder.parent)
    except (OSError, SafetensorError) as error:  # the latter is what safetensors makes of a full disk
        raise LibraryError(f"the model could not be written to {folder}: {error}. Make room and try again.") from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
