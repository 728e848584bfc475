"""A plugin of vLLM that makes an adapter of any direction of a library when it is first asked for.

vLLM knows one adapter per name, read from a PEFT folder. Its resolvers may say where such a folder is when a request
names an adapter that is not loaded. This one composes it, so that one base and 2N adapters serve all N² directions:

- ``deu_Latn-fra_Latn``: what the library makes of that direction;
- ``in.deu_Latn+out.fra_Latn``: its two adapters, named one by one;
- ``in.deu_Latn``, ``out.fra_Latn``: one of them, the steps of a translation through English;
- each of them with ``@NAME`` at the end: mixed as ``LIBRARY/recipes/NAME.yaml`` says.

It is told where the library is by environment variables, see `Settings`. What vLLM can't do is refused rather than done
otherwise: an adapter acts on every position there, so a library whose adapters act on spans needs
``LINGRAFT_VLLM_SPANS=everywhere``, which says that worse translations are meant.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lingraft.atoms import ENGLISH, LibraryError, LingraftError, Role, Scope
from lingraft.base import load
from lingraft.delta import Bank, Update
from lingraft.direction import merge
from lingraft.library import Library, Pointer, save_composition
from lingraft.library.library_card import Weights
from lingraft.library.mixing import OWN, Mixing, mixing, stored
from lingraft.serve.vllm_cache import Cache
from lingraft.serve.vllm_names import Asked, Settings, read_name

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes for ``--max-lora-rank``, from 8 on; adapters are padded to one of them."""
REGISTERED = "Lingraft"
_FORM = 1  # of what is written; another one gives other names in the cache

log = logging.getLogger("vllm.plugins.lingraft")  # below vLLM's own logger, whose handler it shares


class Composer:
    """Makes the PEFT folders of a library's directions; any thread may ask."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet: vLLM loads its plugins in every process, and only one of them resolves names."""
        self._settings = settings
        self._cache = Cache(settings.cache, settings.megabytes * 1_000_000)
        self._lock = threading.Lock()
        self._opened: dict[str, Library | LingraftError] = {}  # by the id of the base, which is checked once

    def folder(self, base_id: str, name: str) -> Path | None:
        """Return the folder of an adapter, made now if it isn't there.

        Args:
            base_id: The folder or hub id of the model that vLLM serves.
            name: What the request calls the adapter.

        Returns:
            A PEFT folder of uniform rank; None where the name is none of ours.

        Raises:
            AdapterError: An adapter is damaged.
            BaseError: The base can't be loaded.
            ConfigError: The mixing is malformed, or names what the base does not have.
            LibraryError: The library is of another base or lacks a language, or vLLM can't do what is asked for.
        """
        if (asked := read_name(name)) is None:
            return None
        library = self._open(base_id)
        pointers = _pointers(library, asked)
        made = _made(library, asked)
        if library.card.scope != "everywhere" and not self._settings.everywhere:
            raise LibraryError(
                f"`{library.path}` must have adapters that act everywhere for vLLM, but they act on spans, which vLLM "
                "doesn't know. Train with fit.scope=everywhere, use `lingraft serve`, or set "
                "LINGRAFT_VLLM_SPANS=everywhere for worse translations."
            )

        def write(folder: Path) -> None:
            bank = Bank(library.adapter(pointer, role) for role, pointer in pointers.items())
            terms = made.route(bank, library.recipe, asked.direction)
            flat = merge(asked.direction, [term._replace(scope=Scope.EVERYWHERE) for term in terms])
            save_composition(padded(flat.updates[Scope.EVERYWHERE]), library.base, folder)

        return self._cache.get(_key(library, pointers, made), write)

    def _open(self, base_id: str) -> Library:
        with self._lock:
            if base_id not in self._opened:
                try:
                    self._opened[base_id] = _open(self._settings.library, base_id)
                except LingraftError as error:
                    self._opened[base_id] = error  # loading a base takes long: not again for every request
            found = self._opened[base_id]
        if isinstance(found, LingraftError):
            raise found
        return found


def padded(updates: Mapping[Any, Update]) -> dict[Any, Update]:
    """Return updates that all have the lowest rank vLLM accepts, with zeros for what they lack, and the scale 1.

    Args:
        updates: Site → update.

    Returns:
        The same maps.

    Raises:
        LibraryError: A rank is too high.
    """
    most = max(update.rank for update in updates.values())
    rank = next((each for each in RANKS if each >= most), None)
    if rank is None:
        raise LibraryError(
            f"the rank of a direction must be at most {RANKS[-1]} for vLLM, but is {most}. Train with a lower rank."
        )
    grown = {}
    for site, update in updates.items():
        room = rank - update.rank
        a = torch.nn.functional.pad(update.A, (0, 0, 0, room))
        grown[site] = Update(a, torch.nn.functional.pad(update.B * update.scale, (0, room)))
    return grown


def register() -> None:
    """Register the resolver; vLLM calls this in each of its processes, as the entry point ``vllm.general_plugins``."""
    settings = Settings.of(os.environ)
    if settings is None:
        return
    from vllm.lora.resolver import LoRAResolverRegistry  # type: ignore[import-not-found]

    if REGISTERED not in LoRAResolverRegistry.get_supported_resolvers():
        Library.open(settings.library)  # a wrong folder ends the start, not the first request
        LoRAResolverRegistry.register_resolver(REGISTERED, resolver(Composer(settings)))


def resolver(composer: Composer) -> Any:
    """Return vLLM's resolver over a composer.

    A direction that can't be had is no adapter to vLLM, which then answers "not found"; why is in the log. An error
    must not leave here, for vLLM would blame itself for it.
    """
    from vllm.lora.request import LoRARequest  # type: ignore[import-not-found]
    from vllm.lora.resolver import LoRAResolver

    class LingraftResolver(LoRAResolver):
        async def resolve_lora(self, base_model_name: str, lora_name: str) -> Any:
            try:
                folder = await asyncio.to_thread(composer.folder, base_model_name, lora_name)
            except LingraftError as error:
                log.warning("the adapter %s can't be had: %s", lora_name, error)
                return None
            if folder is None:
                return None
            number = int(folder.name[:12], 16) + 1  # vLLM's server gives ids of its own; its offline class does not
            return LoRARequest(lora_name=lora_name, lora_int_id=number, lora_path=str(folder))

    return LingraftResolver()


def _open(path: Path, base_id: str) -> Library:
    """Open a library for the base that vLLM serves, and forget the base's weights: vLLM has its own."""
    card = Library.open(path).card.base
    base = load(base_id, dtype="auto", revision=card.revision if base_id == card.id else None)
    if base.family.kind != "decoder":
        raise LibraryError(f"the base must be decoder-only for vLLM, but {base_id} is an encoder–decoder.")
    library = Library.open(path, base)  # compares fingerprint, tokenizer and prompt
    for parameter in base.model.parameters():
        parameter.data = parameter.data.new_empty(0)
    return library


def _pointers(library: Library, asked: Asked) -> dict[Role, Pointer]:
    """Return which versions of the adapters are installed now."""
    languages = {Role.SOURCE: asked.direction.source, Role.TARGET: asked.direction.target}
    pointers = {}
    for role in asked.roles:
        language = languages[role]
        if asked.each or library.places.installed(language):
            pointers[role] = library.pointer(language)
        elif language not in (ENGLISH, *library.base.languages):
            raise LibraryError(f"{language} must be in the library or known to its base, but is in neither.")
    if not pointers:
        raise LibraryError(f"{asked.direction} must have an adapter, but both its languages are the base's own.")
    return pointers


def _made(library: Library, asked: Asked) -> Mixing:
    """Return how the adapters are mixed."""
    if asked.recipe == OWN:
        found = Mixing()
    elif asked.recipe is not None:
        named = stored(library, asked.recipe)
        if named is None:
            raise LibraryError(f"`{asked.recipe}` must be a recipe of the library, but there is none of that name.")
        found = named
    else:
        found = mixing(library, asked.direction) if len(asked.roles) == len(Role) else Mixing()
    if found.via == "pivot" and not asked.each:
        raise LibraryError(
            f"{asked.direction} must be one adapter for vLLM, but is stored as a translation through English. Ask for "
            f"in.{asked.direction.source} and then out.{asked.direction.target}."
        )
    (found.recipe or library.recipe).check(library.base.sites)
    return found


def _key(library: Library, pointers: Mapping[Role, Pointer], made: Mixing) -> str:
    """Return a hash of all that a composed adapter depends on."""
    versions = {role.value: [pointer.language, pointer.of(role)] for role, pointer in pointers.items()}
    weights = Weights.of(made.recipe or library.recipe).model_dump(mode="json")
    what = [_FORM, library.card.base.fingerprint, versions, weights, made.method, dict(made.options)]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]
