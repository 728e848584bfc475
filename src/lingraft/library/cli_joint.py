"""What the verb fit-joint does."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from lingraft.atoms import ConfigError
from lingraft.atoms.config import override, read
from lingraft.atoms.languages import name, parse
from lingraft.base import Base
from lingraft.fit.parallel import team
from lingraft.library.console import Watcher, open_base
from lingraft.library.joint import JointConfig, JointPlan, grow_joint, learn_indexing, plan_joint
from lingraft.library.like import borrow


def fit_joint(config: Path, words: tuple[str, ...], device: str | None, dtype: str, dry_run: bool) -> None:
    """Do what `lingraft fit-joint` promises."""
    settings = override(read(JointConfig, config), words)
    base = open_base(settings.base, device, dtype)
    path = Path(settings.library)
    languages = [parse(word) for word in settings.languages]
    base = borrow(base, {parse(a): parse(b) for a, b in settings.like.items()}, languages)
    wanted = plan_joint(base, languages, settings.pairs, settings.dev, settings.fit)
    if team().lead:
        click.echo(wanted.describe(base), err=True)
    if dry_run:
        return
    if settings.fit.learn != "no":
        _learn(base, path, wanted)
        return
    with Watcher() as watcher:
        command = shlex.join(["lingraft", *sys.argv[1:]])
        pointers = grow_joint(base, path, wanted, reporter=watcher, command=command)
    for language, pointer in pointers.items():
        click.echo(f"added {name(language)} ({language}): source {pointer.source}, target {pointer.target}")


def _learn(base: Base, path: Path, wanted: JointPlan) -> None:
    """Learn the indexing and say where it lies."""
    if (path / "library.json").is_file():
        raise ConfigError(f"`library` must be a folder without a library while the indexing is learned, but is {path}.")
    with Watcher() as watcher:
        learn_indexing(base, path, wanted, reporter=watcher)
    if team().lead:
        click.echo(f"wrote {path / 'indexing.yaml'}; use it with fit.indexing={path / 'indexing.yaml'}")
