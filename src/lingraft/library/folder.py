"""An adapter as files, and back: an inverse pair, bit for bit. A folder is an untouched PEFT LoRA folder."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lingraft.atoms import BaseError, LanguageError, LibraryError, Role, Site
from lingraft.base import Base
from lingraft.corpus.profile import Profile
from lingraft.delta import Adapter, Token, Update
from lingraft.library.card import card
from lingraft.library.config import Layout, alpha_of, write_config
from lingraft.library.disk import read_file, reported, write_folder
from lingraft.library.forms import DENSE, PACKED, Form
from lingraft.library.manifest import CODE, Hashes, Manifest, Record
from lingraft.library.packed import pays
from lingraft.library.refusal import CARD, MANIFEST, PROFILE, refuse
from lingraft.library.validate import Loaded, decode, identity, names_by_stack, sha256, tensor_name, token_name

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def save(adapter: Adapter, base: Base, record: Record, profile: Profile, folder: Path) -> None:
    """Write an adapter to a new folder that plain PEFT loads, durably and in one step.

    Args:
        adapter: The adapter.
        base: The base that it belongs to.
        record: How it came to be, for the manifest.
        profile: What its language looks like.
        folder: Where to; it must not exist.

    Raises:
        AdapterError: ``load`` would refuse the adapter.
        LibraryError: ``folder`` exists, or the disk is full or failed.
    """
    _write_new(folder, encode(adapter, base, record, profile, DENSE))


def load(folder: Path, base: Base) -> Loaded:
    """Return the adapter in a folder that ``save`` or a library wrote, packed or not.

    Args:
        folder: The adapter's folder; other files in it are not opened.
        base: The base that it must belong to.

    Returns:
        The adapter with its manifest and the language's profile.

    Raises:
        AdapterError: Anything in it is missing, malformed, altered, or of another base.
    """
    return decode(lambda name, limit: read_file(folder, (name,), limit), base)


def save_composition(
    updates: Mapping[Site, Update],
    base: Base,
    folder: Path,
    tokens: Mapping[Role, Token] | None = None,
    readme: bytes | None = None,
) -> None:
    """Write the updates of a composed direction to a new folder, as a PEFT adapter of the base.

    Args:
        updates: One update per site, of any ranks; values that PEFT could not store become float32.
        base: The base that they belong to.
        folder: Where to; it must not exist.
        tokens: Tokens that the base lacks.
        readme: What the folder's README says; None: it has none.

    Raises:
        BaseError: A site is none of the base's, or an update has another shape.
        LibraryError: ``folder`` exists, or the disk is full or failed.
    """
    plain = {site: Update(_storable(update.A), _storable(update.B), update.scale) for site, update in updates.items()}
    named = {role: Token(token.relative, _storable(token.row)) for role, token in (tokens or {}).items()}
    files = dict(_files(*_with_tokens(*_network_order(plain, base), named, base), base, DENSE))
    _write_new(folder, files if readme is None else {**files, CARD: readme})


def encode(
    adapter: Adapter, base: Base, record: Record, profile: Profile, form: Form | None = None
) -> dict[str, bytes]:
    """Return the files of an adapter by name, after having read them back.

    Args:
        adapter: The adapter.
        base: The base that it belongs to.
        record: How it came to be, for the manifest.
        profile: What its language looks like.
        form: How its weights are stored; None: packed where that pays.

    Returns:
        File name → content: config, weights, profile, manifest and card.

    Raises:
        AdapterError: ``decode`` would refuse them, e.g. for a value that is not finite.
    """
    if not re.fullmatch(CODE, adapter.language):
        raise refuse("name", f"the language must be a code such as deu_Latn, but is {adapter.language!r:.60} instead.")
    try:
        tokens = {} if adapter.token is None else {adapter.role: adapter.token}
        layout, tensors = _with_tokens(*_network_order(adapter.updates, base), tokens, base)
    except BaseError as error:
        raise refuse("shape", str(error)) from None
    except LanguageError as error:
        raise refuse("token", str(error)) from None
    form = form or (PACKED if pays(tensors.values()) else DENSE)
    files = _files(layout, tensors, base, form)
    files[PROFILE] = profile.to_json().encode()
    sites = [site for site in base.sites if site in adapter.updates]
    hashed = {"config": form.config, "weights": form.weights, "profile": PROFILE}
    manifest = Manifest(
        format_version=1,
        language=adapter.language,
        role=adapter.role,
        scope=adapter.scope,
        base=identity(base),
        rank=layout.rank,
        alpha=layout.alpha,
        sites=names_by_stack(sites),
        modules=tuple(layout.modules),
        record=record,
        sha256=Hashes(**{each: sha256(files[name]) for each, name in hashed.items()}),
        packed=form is PACKED,
        like=None if adapter.token is None else adapter.token.relative,
    )
    files[MANIFEST] = manifest.to_json()
    files[CARD] = card(manifest)
    decode(partial(_lookup, files), base, adapter.name)
    return files


def _storable(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype in _FLOATS else tensor.float()


def _lookup(files: Mapping[str, bytes], name: str, limit: int) -> bytes:
    if len(files[name]) > limit:
        raise refuse("size", f"`{name}` must have at most {limit} bytes, but has {len(files[name])} instead.")
    return files[name]


def _network_order(updates: Mapping[Site, Update], base: Base) -> tuple[Layout, dict[str, Tensor]]:
    """Return the layout of the updates and their tensors as PEFT names them, in network order."""
    modules, tensors = {}, {}
    for site, update in updates.items():
        if site not in base.sites or update.shape != base.shape(site):
            must = f"of shape {base.shape(site)}" if site in base.sites else "at a site of the base"
            raise BaseError(f"the update at `{site}` must be {must}, but has shape {update.shape} instead.")
    for site in (site for site in base.sites if site in updates):
        update, path = updates[site], base.sites[site]
        if not update.rank or not math.isfinite(update.scale):
            raise BaseError(
                f"the update at `{site}` must have a rank and a finite scale, but has "
                f"{update.rank} and {update.scale} instead."
            )
        modules[path] = (update.rank, alpha_of(update.scale, update.rank))
        tensors[tensor_name(path, "A")], tensors[tensor_name(path, "B")] = update.A, update.B
    if not modules:
        raise BaseError("there must be an update to write, but there is none. Does the direction have an adapter?")
    return Layout(modules), tensors


def _with_tokens(
    layout: Layout, tensors: Mapping[str, Tensor], tokens: Mapping[Role, Token], base: Base
) -> tuple[Layout, dict[str, Tensor]]:
    """Add the tokens that the base lacks, as rows that PEFT puts in the place of their relatives'."""
    ids: dict[str, tuple[int, ...]] = {}
    rows = {}
    for role, token in tokens.items():
        path, index = base.embedding(role), base.token(token.relative)
        # PEFT takes the same ids of two tied embeddings for one change of both, and then makes none. Naming the
        # second one's twice keeps them apart.
        times = 1 + sum(other == (index,) for other in ids.values())
        ids[path] = (index,) * times
        rows[token_name(path)] = token.row[None].repeat(times, *[1] * token.row.ndim)
    return Layout(layout.modules, ids), {**tensors, **rows}


def _files(layout: Layout, tensors: Mapping[str, Tensor], base: Base, form: Form) -> dict[str, bytes]:
    return {form.config: write_config(layout, base), form.weights: form.write(tensors)}


def _write_new(folder: Path, files: Mapping[str, bytes]) -> None:
    if folder.exists() or folder.is_symlink():
        raise LibraryError(f"`{folder}` must not exist yet, but does. Remove it or choose another folder.")
    with reported(folder):
        write_folder(folder, files)
