"""What the verb serve-key does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click
import filelock

from lingraft.atoms import ConfigError
from lingraft.atoms.durable import new_file, replacing
from lingraft.library.disk import reported
from lingraft.serve.keys import make_key, read_keys

_PATIENCE = 30.0
"""Seconds that a key waits for those that are made at the same time."""


def serve_key(name: str, path: Path) -> None:
    """Do what `lingraft serve-key` promises."""
    key, stored = make_key(name)
    with reported(path), _writing(path):
        there = read_keys(path) if path.exists() else {}
        if name in there:
            raise ConfigError(f"`name` must be new in {path}, but {name} is there already. Delete its line first.")
        before = path.read_text(encoding="ascii") if path.exists() else ""
        gap = "" if not before or before.endswith("\n") else "\n"
        with replacing(path) as draft:
            new_file(draft, f"{before}{gap}{stored.line}\n".encode("ascii"), mode=0o600)
            kept = not path.exists() or _give(draft, path.stat())
    if not kept:
        click.echo(f"warning: {path} has another owner or group now. See that the service can still read it.", err=True)
    click.echo(key)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Hold a file of keys, so that none is lost that others add between its reading and its replacing."""
    path.parent.stat()  # raises where there is none; the lock would make it
    place = path.with_name(f".{path.name}.lock")
    lock = filelock.FileLock(place, mode=0o600)
    try:
        lock.acquire(timeout=_PATIENCE)
    except filelock.Timeout:  # an OSError, but the disk is well
        raise ConfigError(
            f"`{path}` must be free for a new key, but another process has held it for {_PATIENCE:g} s. Try later."
        ) from None
    try:
        yield
        with contextlib.suppress(OSError):  # who may write the file may hold it, whoever was the first
            _give(place, path.stat())
    finally:
        lock.release()


def _give(draft: Path, old: os.stat_result) -> bool:
    """Give a file the owner, group and mode of another one, as far as this user may; return whether it has."""
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
