"""What the verbs of the command line share in what they do: languages, bases, progress bars."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lingraft.atoms import DataError, Direction, LanguageError
from lingraft.atoms.languages import parse
from lingraft.base import Base, load
from lingraft.library.mixing import overlooked
from lingraft.library.places import RECIPES
from lingraft.library.store import Library

if TYPE_CHECKING:
    from lingraft.fit.learner import Learner

stderr = Console(stderr=True)
EACH = 60.0
"""Seconds between two lines of progress where there is no terminal."""


def open_base(base_id: str, device: str | None, dtype: str) -> Base:
    """Load a base onto the device, by default the GPU that is this process's own, where there is one."""
    from lingraft.fit.parallel import local_device

    return load(base_id, dtype=dtype, device=device or local_device())


def open_library(path: Path, base_id: str | None, device: str | None, dtype: str) -> Library:
    """Open a library together with its base, and warn of recipes that nobody follows."""
    library = Library.open(path, open_base(base_id or Library.open(path).card.base.id, device, dtype))
    for file, wrong in overlooked(library).items():
        click.echo(f"warning: {RECIPES}/{file} is not followed: its name {wrong}", err=True)
    return library


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part languages from settings (``key=value``) and return the languages' codes and the settings."""
    return [parse(word) for word in words if "=" not in word], [word for word in words if "=" in word]


def read_lines(data: bytes) -> list[str]:
    """Return the lines of UTF-8 text; only line feeds end a line.

    Args:
        data: The bytes.

    Returns:
        The lines without their ends.

    Raises:
        DataError: If the bytes are not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"standard input must be UTF-8, but line {number} is not. Convert it, e.g. with iconv."
        ) from None
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def read_direction(word: str) -> Direction:
    """Return the direction that a word of the command line names.

    Args:
        word: Two codes with a hyphen, e.g. deu_Latn-fra_Latn.

    Returns:
        The direction.

    Raises:
        LanguageError: It is none, or both languages are the same.
    """
    codes = word.split("-")
    if len(codes) != 2:
        raise LanguageError(
            f"`direction` must be two codes with a hyphen, e.g. deu_Latn-fra_Latn, but is {word!r:.60}."
        )
    direction = Direction(*map(parse, codes))
    if direction.source == direction.target:
        raise LanguageError(f"`direction` must have two languages, but is {word!r:.60}.")
    return direction


class Bar(Progress):
    """A progress bar with the time left, on standard error; where that is no terminal, a line each minute says it."""

    def __init__(self) -> None:
        """Show nothing yet."""
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        # What is printed to a terminal meanwhile stands above the bar; what goes to a file must not go to the terminal.
        above = sys.stdout.isatty()
        super().__init__(*columns, TextColumn("left"), TimeRemainingColumn(), console=stderr, redirect_stdout=above)
        self._said = time.monotonic()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Move a task on."""
        super().advance(task_id, advance)
        self._say(task_id)

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """Set what is known of a task."""
        super().update(task_id, **fields)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        if self.console.is_terminal or time.monotonic() - self._said < EACH:
            return
        self._said = time.monotonic()
        (task,) = (task for task in self.tasks if task.id == task_id)
        left = "" if task.time_remaining is None else f", {task.time_remaining / 60:.0f} min left"
        self.console.print(f"{task.description}: {task.completed:.0f} of {task.total:.0f}{left}", highlight=False)


@contextmanager
def counting(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves a progress bar of ``total`` steps on."""
    with Bar() as shown:
        task = shown.add_task(what, total=total)
        yield lambda steps: shown.advance(task, steps)


class Watcher:
    """Shows a training run: a progress bar, and a line at the end of each adapter's epochs.

    In a ``with`` block the bar is taken away when the run fails, too: else the terminal's cursor stays hidden.
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        self._bar = Bar()
        self._task = self._bar.add_task("training", total=None)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def prepare(self, what: str, done: int, total: int) -> None:
        """Show the bar for work that comes before training."""
        self._bar.start()
        self._bar.update(self._task, description=what, total=total, completed=done)

    def start(self, total: int, done: int) -> None:
        """Show the bar, at ``done`` where a run goes on."""
        self._bar.start()
        self._bar.reset(self._task, description="training", total=total, completed=done)
        if done:
            self._bar.console.print(f"going on after {done} of {total} steps")

    def step(self, learner: Learner, loss: float) -> None:
        """Move the bar on."""
        self._bar.advance(self._task)

    def epoch(self, learner: Learner) -> None:
        """Print how the adapter does on its dev rows."""
        best = "" if learner.bad_epochs == 0 else f", best {learner.best_loss:.3f} in epoch {learner.best_epoch}"
        stop = "; stops early" if learner.stopped else ""
        self._bar.console.print(
            f"{learner.name}  epoch {learner.epoch}  dev loss {learner.last_loss:.3f}{best}{stop}", highlight=False
        )
        self._bar.advance(self._task, learner.past - learner.step)

    def finish(self) -> None:
        """Take the bar away, if it is there."""
        if self._bar.live.is_started:
            self._bar.stop()
