"""Write a direction or an adapter for other programs: as a PEFT folder, or as a whole merged model."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lingraft.atoms import AdapterName, Direction, LibraryError, Role, Scope, Site
from lingraft.atoms.durable import sync
from lingraft.base import Base
from lingraft.delta import Term, Token, Update
from lingraft.direction import Composition, merge
from lingraft.library import disk
from lingraft.library.card import direction_card
from lingraft.library.folder import save, save_composition
from lingraft.library.mixing import Mixing, mixing
from lingraft.library.refusal import CARD
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
PIVOT = (
    "the library translates {direction} through English, as was stored for it, but what is written here translates "
    "directly. Export {direction.source}-eng_Latn and eng_Latn-{direction.target} for the same in two steps."
)
MERGED = (
    "`--merged` must come with languages that have tokens in the base, but {direction} has one that borrows another's: "
    "in a merged model the two would be the same. Leave `--merged` out: a PEFT adapter keeps them apart, and so does "
    "`--format ctranslate2`."
)


def export_direction(
    library: Library, direction: Direction, folder: Path, *, merged: bool = False, made: Mixing | None = None
) -> str | None:
    """Write a direction as a PEFT adapter, or as a model folder with ΔW added to a copy of the base.

    Args:
        library: The library with its base.
        direction: The pair of languages.
        folder: A new folder.
        merged: Whether to write a whole model.
        made: How the direction is made; None: as the library has stored it.

    Returns:
        A warning where what was written does not act as the library does, else None.

    Raises:
        LibraryError: If the direction is not offered or has no adapter, the folder exists, or a merged model could
            not tell a language from the one whose token it borrows.
    """
    require_new(library, folder)
    made = made or mixing(library, direction)
    flat, warnings = composed(library, direction, made)
    updates = flat.updates.get(Scope.EVERYWHERE, {})
    languages = {Role.SOURCE: direction.source, Role.TARGET: direction.target}
    warnings += [_borrows(languages[role], token) for role, token in flat.tokens.items()]
    card = direction_card(library, direction, made, warnings)
    if merged:
        if flat.tokens:
            raise LibraryError(MERGED.format(direction=direction))
        with drafted(folder) as draft:
            merged_copy(library.base, updates).save_pretrained(draft)
            library.base.tokenizer.save_pretrained(draft)
            (draft / CARD).write_bytes(card)
    else:
        save_composition(updates, library.base, folder, flat.tokens, card)
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
    require_new(library, folder)
    loaded = library.stored(*name)
    save(loaded.adapter, library.base, loaded.manifest.record, loaded.profile, folder)
    spans = library.base.family.kind == "decoder" and loaded.adapter.scope is not Scope.EVERYWHERE
    if loaded.adapter.token is not None:
        return _borrows(name.language, loaded.adapter.token)
    return SPAN.format(name=name) if spans else None


def composed(library: Library, direction: Direction, made: Mixing | None = None) -> tuple[Composition, list[str]]:
    """Return a direction as one update per site that acts everywhere, as other programs know it.

    Args:
        library: The library with its base.
        direction: The pair of languages.
        made: How the direction is made; None: as the library has stored it.

    Returns:
        The composition, and in what it differs from what the library computes, as warnings.

    Raises:
        LibraryError: If the direction is not offered, or has no adapter.
    """
    if direction.source == direction.target:
        raise LibraryError(f"`direction` must have two languages, but is {direction}.")
    made = made or mixing(library, direction)
    terms = router(library, [direction], made)(direction)
    if not terms:
        raise LibraryError(f"{direction} must have an adapter to export, but both its languages are the base's own.")
    decoder_only = library.base.family.kind == "decoder"
    warnings = [PIVOT.format(direction=direction)] if made.via == "pivot" else []
    if decoder_only and any(term.scope is not Scope.EVERYWHERE for term in terms):
        warnings.append(SPANS.format(direction=direction))
    return merge(direction, [_everywhere(term, decoder_only) for term in terms]), warnings


@torch.no_grad()
def merged_copy(base: Base, updates: Mapping[Site, Update]) -> Any:
    """Return a copy of the base's model with ΔW added in float64; the base stays as it is."""
    model = copy.deepcopy(base.model)
    for site, update in updates.items():
        weight = model.get_submodule(base.sites[site]).weight
        weight.copy_((weight.double() + update.delta().to(weight.device)).to(weight.dtype))
    return model


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside ``folder``, which takes its place in one step when all is written.

    Args:
        folder: Where to; it must not exist.

    Yields:
        An empty folder for other programs' code to write to.

    Raises:
        LibraryError: The disk is full or failed; nothing is left then.
    """
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".export-", dir=folder.parent))
        yield draft
        os.chmod(draft, 0o755)
        disk.sync_all(draft)
        draft.rename(folder)
        sync(folder.parent)
    except (OSError, SafetensorError) as error:  # the latter is what safetensors makes of a full disk
        raise LibraryError(f"the model could not be written to {folder}: {error}. Make room and try again.") from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def require_new(library: Library, folder: Path) -> None:
    """Refuse a folder that exists, or would lie within the library."""
    if folder.exists():
        raise LibraryError(f"`--to` must be a new folder, but {folder} exists. Choose another one.")
    if folder.resolve().is_relative_to(library.path.resolve()):
        raise LibraryError(f"`--to` must be outside of the library, but {folder} is in {library.path}. Choose another.")


def _everywhere(term: Term, decoder_only: bool) -> Term:
    """Return a term without its scope; in an encoder–decoder the stack is the span, so that nothing is lost."""
    if decoder_only or term.scope is Scope.EVERYWHERE:
        return term._replace(scope=Scope.EVERYWHERE)
    stack = "encoder" if term.scope is Scope.SOURCE else "decoder"
    updates = {site: update for site, update in term.updates.items() if site.stack == stack}
    return term._replace(updates=updates, scope=Scope.EVERYWHERE)


def _borrows(language: str, token: Token) -> str:
    return (
        f"the tokenizer has no token for {language}. Where its language token would stand, put that of "
        f"{token.relative}: with this adapter the model reads it as {language}'s."
    )
