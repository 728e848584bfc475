"""What the verb serve-key does."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from lingraft.atoms import ConfigError
from lingraft.atoms.durable import draft_of, sync
from lingraft.library.disk import reported
from lingraft.serve.keys import make_key, read_keys


def serve_key(name: str, path: Path) -> None:
    """Do what `lingraft serve-key` promises."""
    key, stored = make_key(name)
    there = read_keys(path) if path.exists() else {}
    if name in there:
        raise ConfigError(f"`name` must be new in {path}, but {name} is there already. Delete its line first.")
    before = path.read_text(encoding="ascii") if path.exists() else ""
    gap = "" if not before or before.endswith("\n") else "\n"
    with reported(path):
        kept = _write(path, f"{before}{gap}{stored.line}\n".encode("ascii"))
    if not kept:
        click.echo(f"warning: {path} has another owner or group now. See that the service can still read it.", err=True)
    click.echo(key)


def _write(path: Path, data: bytes) -> bool:
    """Put a file of keys in the place of another in one step, durably, with its mode; a new one is its owner's alone.

    Args:
        path: The file.
        data: Its new content.

    Returns:
        Whether owner and group are those that it had.
    """
    draft, kept = draft_of(path), True
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            if path.exists():
                kept = _give(draft, path.stat())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    sync(path.parent)
    return kept


def _give(draft: Path, old: os.stat_result) -> bool:
    """Give a draft the owner, group and mode of what it replaces, as far as this user may; return whether it has."""
    new = draft.stat()
    kept, mode = True, old.st_mode & 0o777
    if new.st_gid != old.st_gid:
        try:
            os.chown(draft, -1, old.st_gid)
        except PermissionError:
            kept, mode = False, mode & ~0o070  # what the one group may is not meant for the other
    if new.st_uid != old.st_uid:
        try:
            os.chown(draft, old.st_uid, -1)
        except PermissionError:
            kept = False
    draft.chmod(mode)
    return kept
