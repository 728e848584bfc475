"""What the verb serve-key does."""

from __future__ import annotations

from pathlib import Path

import click

from lingraft.atoms import ConfigError
from lingraft.atoms.durable import write_file
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
        write_file(path, f"{before}{gap}{stored.line}\n".encode("ascii"))
        path.chmod(0o600)
    click.echo(key)
