"""An adapter's files, from anyone, become an adapter of this base, or are refused with the reason.

Only JSON and safetensors are opened, each within limits that hold before anything is allocated, and
none of it reaches another library before it is known to be harmless.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lingraft.atoms import AdapterName, DataError, LanguageError, Site
from lingraft.base import Base
from lingraft.corpus.profile import Profile
from lingraft.delta import Adapter, Token, Update
from lingraft.library.config import Layout, read_config
from lingraft.library.forms import Form, form_of
from lingraft.library.manifest import BaseIdentity, Manifest, read_manifest
from lingraft.library.refusal import CARD, JSON_BYTES, MANIFEST, MAX_VALUE, PROFILE, refuse

Read = Callable[[str, int], bytes | bytearray]
"""(name of a file, most bytes) → its bytes."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """What the files of an adapter hold."""

    adapter: Adapter
    manifest: Manifest
    profile: Profile


def identity(base: Base) -> BaseIdentity:
    """Return what tells a base, its tokenizer and its format from others."""
    return BaseIdentity(
        id=base.id,
        revision=base.revision,
        fingerprint=base.fingerprint,
        tokenizer_hash=base.tokenizer_hash,
        format=base.format.spec(),
        format_hash=base.format.hash,
    )


def content_hash(files: Mapping[str, bytes | bytearray]) -> str:
    """Return the version of an adapter: the start of the sha256 over the names and hashes of its files."""
    return _version({name: sha256(data) for name, data in files.items()})


def _version(hashes: Mapping[str, str]) -> str:
    lines = [f"{name} {hashes[name]}\n" for name in sorted(hashes)]
    return sha256("".join(lines).encode())[:16]


def sha256(data: bytes | bytearray) -> str:
    """Return the sha256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def tensor_shapes(layout: Layout, base: Base) -> dict[str, tuple[int, int]]:
    """Return the name and shape of A and B of each module, and of replaced rows, as PEFT names them."""
    sites = {path: site for site, path in base.sites.items()}
    shapes = {}
    for path, (rank, _) in layout.modules.items():
        out, inner = base.shape(sites[path])
        shapes[tensor_name(path, "A")] = (rank, inner)
        shapes[tensor_name(path, "B")] = (out, rank)
    for path, ids in layout.tokens.items():
        shapes[token_name(path)] = (len(ids), base.model.get_submodule(path).weight.shape[1])
    return shapes


def tensor_name(path: str, factor: str) -> str:
    """Return the name of one factor of a module's update."""
    return f"base_model.model.{path}.lora_{factor}.weight"


def token_name(path: str) -> str:
    """Return the name of the rows of an embedding that are replaced."""
    return f"base_model.model.{path}.token_adapter.trainable_tokens_delta"


def names_by_stack(sites: Iterable[Site]) -> dict[str, tuple[str, ...]]:
    """Return which linear maps of each stack carry updates, in network order."""
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for site in sites:
        names[site.stack][site.name] = None
    return {stack: tuple(found) for stack, found in names.items()}


_AGAIN = "Get it again, or go back to an earlier version (`lingraft rollback`)."


def decode(read: Read, base: Base, name: AdapterName | None = None, version: str | None = None) -> Loaded:
    """Return the adapter that the files hold.

    Args:
        read: Gives a file.
        base: The base that it must belong to.
        name: The language and role that it must have.
        version: The content hash that it must have; None for files that come from outside a library.

    Returns:
        The adapter with its manifest and the language's profile.

    Raises:
        AdapterError: Anything is missing, malformed, altered, or of another base.
    """
    files: dict[str, bytes | bytearray] = {MANIFEST: read(MANIFEST, JSON_BYTES)}
    manifest = read_manifest(files[MANIFEST])
    form = form_of(manifest.packed)
    files |= {each: read(each, JSON_BYTES) for each in (form.config, PROFILE, *([CARD] if version else []))}
    if name:
        _match_name(manifest, name)
    match_base(manifest.base, base)
    layout = read_config(files[form.config], base, form.config)
    _match_layout(manifest, layout, base, form)
    _match_token(manifest, layout, base, form)
    shapes = tensor_shapes(layout, base)
    files[form.weights] = weights = read(form.weights, form.limit(shapes))
    _match_hashes(manifest, files, form)
    if version and content_hash(files) != version:
        whose = f"{manifest.language}.{manifest.role.value}"
        raise refuse("hash", f"the files of {whose} must have the content hash {version}, but were altered. {_AGAIN}")
    values = form.read(weights, shapes)
    paths = dict(base.sites)
    updates = {}
    for site in (site for site in paths if paths[site] in layout.modules):
        rank, alpha = layout.modules[paths[site]]
        factors = [values[tensor_name(paths[site], factor)].to(base.device) for factor in "AB"]
        updates[site] = Update(factors[0], factors[1], alpha / rank)
    rows = [values[token_name(path)][0].clone().to(base.device) for path in layout.tokens]
    token = Token(manifest.like, rows[0]) if manifest.like is not None else None
    try:
        adapter = Adapter(manifest.language, manifest.role, manifest.scope, updates, token)
    except ValueError as error:
        raise refuse("manifest", f"in `{MANIFEST}` {error}") from None
    return Loaded(adapter, manifest, _profile(files[PROFILE], manifest.language))


def decode_profile(read: Read, name: AdapterName, version: str) -> Profile:
    """Return the profile that comes with an adapter, without reading its weights.

    A version is a hash over the hashes of its files, and the manifest holds that of the weights, so all that is read
    is checked all the same.

    Args:
        read: Gives a file.
        name: The language and role that the adapter must have.
        version: The content hash that it must have.

    Returns:
        What its language looks like.

    Raises:
        AdapterError: A file that is read is missing, malformed, or altered.
    """
    files = {MANIFEST: read(MANIFEST, JSON_BYTES)}
    manifest = read_manifest(files[MANIFEST])
    form = form_of(manifest.packed)
    files |= {each: read(each, JSON_BYTES) for each in (form.config, PROFILE, CARD)}
    _match_name(manifest, name)
    hashes = {each: sha256(data) for each, data in files.items()}
    if (
        hashes[PROFILE] != manifest.sha256.profile
        or _version(hashes | {form.weights: manifest.sha256.weights}) != version
    ):
        raise refuse("hash", f"the files must have the content hash {version}, but were altered. Get them again.")
    return _profile(files[PROFILE], manifest.language)


def match_base(found: BaseIdentity, base: Base) -> None:
    """Check that an adapter was made for this base, tokenizer and prompt.

    Args:
        found: What the adapter's manifest says.
        base: The base that is loaded.

    Raises:
        AdapterError: It was made for others; the message names both bases.
    """
    if different := difference(found, base):
        code, what = different
        raise refuse(code, f"the adapter must be made for {what}. Load that base, or train the adapter for this one.")


def difference(found: BaseIdentity, base: Base) -> tuple[str, str] | None:
    """Return what tells a base from the one that was found, as a code and as words; None if nothing does."""
    for code, what, made, own in (
        ("base", "weights", found.fingerprint, base.fingerprint),
        ("tokenizer", "tokenizer", found.tokenizer_hash, base.tokenizer_hash),
        ("format", "prompt", found.format_hash, base.format.hash),
    ):
        if made != own:
            return code, (
                f"the base {base.id!r} ({what} {own[:12]}), but is for {found.id!r:.120} ({what} {made[:12]}) instead"
            )
    return None


def _match_name(manifest: Manifest, name: AdapterName) -> None:
    if (manifest.language, manifest.role) != name:
        raise refuse("name", f"the adapter must be {name}, but is {manifest.language}.{manifest.role.value} instead.")


def _match_layout(manifest: Manifest, layout: Layout, base: Base, form: Form) -> None:
    """Check that manifest and config speak of the same modules, ranks and scales."""
    modules = {path: site for site, path in base.sites.items() if path in layout.modules}
    for field, said, found in (
        ("modules", manifest.modules, tuple(modules)),
        ("sites", manifest.sites, names_by_stack(modules.values())),
        ("rank", manifest.rank, layout.rank),
        ("alpha", manifest.alpha, layout.alpha),
    ):
        if said != found:
            raise refuse("manifest", f"`{field}` in {MANIFEST} must be as in {form.config}, but differs. Get it again.")
    for path, (rank, alpha) in layout.modules.items():
        if not abs(alpha / rank) <= MAX_VALUE:
            raise refuse("values", f"alpha / r of `{path}` must be at most {MAX_VALUE:g}, but is {alpha / rank:g}.")


def _match_token(manifest: Manifest, layout: Layout, base: Base, form: Form) -> None:
    """Check that config and manifest speak of the same token, and that the language needs it in this base."""
    wanted: dict[str, tuple[int, ...]] = {}
    if manifest.like is not None:
        try:
            base.borrowing({manifest.language: manifest.like})
        except LanguageError as error:
            raise refuse("token", f"in `{MANIFEST}` {error}") from None
        wanted = {base.embedding(manifest.role): (base.token(manifest.like),)}
    if layout.tokens != wanted:
        raise refuse(
            "token", f"the replaced tokens in {form.config} must be {wanted}, as `like` in {MANIFEST} says, but are "
            f"{dict(layout.tokens)} instead. Get the adapter again."
        )  # fmt: skip


def _match_hashes(manifest: Manifest, files: Mapping[str, bytes | bytearray], form: Form) -> None:
    said, whose = manifest.sha256, f"{manifest.language}.{manifest.role.value}"
    for name, expected in ((form.config, said.config), (form.weights, said.weights), (PROFILE, said.profile)):
        if sha256(files[name]) != expected:
            raise refuse("hash", f"`{name}` of {whose} must have the sha256 of its manifest, but was altered. {_AGAIN}")


def _profile(data: bytes | bytearray, language: str) -> Profile:
    try:
        profile = Profile.from_json(bytes(data))
    except DataError as error:
        raise refuse("profile", str(error)) from None
    if profile.language != language:
        raise refuse("profile", f"`{PROFILE}` must be of {language}, but is of {profile.language} instead.")
    return profile
