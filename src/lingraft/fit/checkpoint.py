"""Checkpoints of a training run: safetensors and JSON, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lingraft.atoms import TrainingError
from lingraft.atoms.durable import sync
from lingraft.base import Base
from lingraft.fit.learner import Learner
from lingraft.fit.parallel import Team
from lingraft.fit.settings import Training

_DRAFT = ".draft-"
"""Start of the names of checkpoints that are not whole: being written, or being removed."""


def run_id(base: Base, regime: Training, learners: Sequence[Learner]) -> str:
    """Return a hash of all that decides a run's result: settings, base and its type, format and every row."""
    digest = hashlib.sha256(type(regime).__name__.encode())
    # Where the base lies does not decide what comes out.
    digest.update(json.dumps(regime.model_dump(mode="json", exclude={"shard"}), sort_keys=True).encode())
    digest.update(f"{base.fingerprint} {base.dtype} {base.tokenizer_hash} {base.format.hash}".encode())
    for learner in learners:
        digest.update(repr(learner.identity()).encode())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one run in a folder of its own; only the newest complete one is kept.

    They don't tell how many processes there were: any number of them goes on. The lead writes, all read.
    """

    def __init__(self, work: Path, name: str, team: Team | None = None, files: Iterable[Path] = ()) -> None:
        """Use a folder of the run's own.

        Args:
            work: The folder of all runs.
            name: Of the run's own folder in it.
            team: The run's processes.
            files: What the run has put down elsewhere, to be removed with its folder.
        """
        self.work = work
        self.folder = work / name
        self._team = team or Team()
        self._files = frozenset(files)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run, so that the same one is not trained twice at a time.

        Raises:
            TrainingError: If another process trains it, or the folder can't be written.
        """
        lock = filelock.FileLock(self.folder / ".lock")
        self._team.led(lambda: self._acquire(lock))
        try:
            yield
        finally:
            lock.release()

    def _acquire(self, lock: filelock.BaseFileLock) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise TrainingError(
                f"the training in {self.folder} must be of one process, but another is at it. Wait for it, or stop it; "
                "then run the same command again."
            ) from None
        except OSError as error:
            raise TrainingError(
                f"{self.folder} must be writable, but is not: {error}. Mend it and run again."
            ) from error

    def save(self, learners: Sequence[Learner], step: int) -> None:
        """Write the state of all learners durably, then drop the older checkpoint.

        Args:
            learners: All learners of the run, the stopped ones too.
            step: Steps of the run so far; names the checkpoint.

        Raises:
            TrainingError: If the disk is full or cannot be written; the older checkpoint stays.
        """
        self._team.led(lambda: self._write(learners, step))

    def _write(self, learners: Sequence[Learner], step: int) -> None:
        tensors: dict[str, Tensor] = {}
        state: dict[str, Any] = {"step": step, "learners": {}}
        for learner in learners:
            for name, weights in learner.weights.items():
                tensors |= {f"{learner.name}/{name}/{key}": value for key, value in weights.state().items()}
            state["learners"][learner.name] = {
                "step": learner.step,
                "bad_epochs": learner.bad_epochs,
                "best_loss": learner.best_loss if math.isfinite(learner.best_loss) else None,
                "best_epoch": learner.best_epoch,
                "stopped": learner.stopped,
            }
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        final = self.folder / f"step-{step:09d}"
        draft = self.folder / f"{_DRAFT}{step:09d}"
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            save_file(tensors, draft / "state.safetensors")
            (draft / "state.json").write_text(json.dumps(state, indent=1))
            for path in (draft / "state.safetensors", draft / "state.json", draft):
                sync(path)
            if final.exists():
                self._drop(final)
            draft.rename(final)
            sync(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise TrainingError(
                f"a checkpoint could not be written to {self.folder}: {error}. The last one is kept; "
                "make room and run the same command again."
            ) from error
        for old in self._complete()[:-1]:
            self._drop(old)

    def _drop(self, checkpoint: Path) -> None:
        """Remove a checkpoint, which first loses its name: a kill on the way leaves none that only looks whole."""
        draft = self.folder / f"{_DRAFT}{checkpoint.name}"
        with suppress(OSError):  # what can't be renamed stays whole
            shutil.rmtree(draft, ignore_errors=True)
            checkpoint.rename(draft)
            sync(self.folder)
            shutil.rmtree(draft, ignore_errors=True)

    def restore(self, learners: Sequence[Learner]) -> int:
        """Load the newest checkpoint into the learners; what a killed process left half written or removed goes.

        Args:
            learners: Fresh learners of the same run; weights, optimiser and schedule are overwritten.

        Returns:
            The step to go on from; 0 where there is no checkpoint.

        Raises:
            TrainingError: If the processes don't find the same one, or it is damaged.
        """
        if self._team.lead:
            for draft in self.folder.glob(f"{_DRAFT}*"):
                shutil.rmtree(draft, ignore_errors=True)
        newest = next(reversed(self._complete()), None)
        name = newest and newest.name
        self._team.require_same("the checkpoint", name, "Use a library on a disk that all of them share.")
        if newest is None:
            return 0
        try:
            return _read(newest, learners)
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
            raise TrainingError(
                f"the checkpoint {newest} must be as it was written, but is damaged: {error!r:.200}. Remove that "
                "folder to train from the start."
            ) from error

    def clear(self) -> None:
        """Remove what the run has put down, and nothing of another run, once its result is safe elsewhere."""
        if not self._team.lead:
            return
        # The folder goes last: as long as it is there, somebody may know of the rest.
        for file in self._files:
            with suppress(OSError):
                file.unlink(missing_ok=True)
        for folder in {file.parent for file in self._files}:
            with suppress(OSError):  # it holds files of other runs
                folder.rmdir()
        for checkpoint in self._complete():
            self._drop(checkpoint)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _complete(self) -> list[Path]:
        """Return the complete checkpoints, oldest first; drafts have another name."""
        return sorted(self.folder.glob("step-*")) if self.folder.exists() else []


def _read(folder: Path, learners: Sequence[Learner]) -> int:
    """Load a checkpoint into learners; return its step."""
    state = json.loads((folder / "state.json").read_text())
    tensors: dict[str, dict[str, Tensor]] = {}
    for key, value in load_file(folder / "state.safetensors").items():
        owner, _, part = key.rpartition("/")
        tensors.setdefault(owner, {})[part] = value
    for learner in learners:
        for name, weights in learner.weights.items():
            weights.restore(tensors[f"{learner.name}/{name}"])
        mine = state["learners"][learner.name]
        learner.step, learner.bad_epochs = mine["step"], mine["bad_epochs"]
        learner.best_epoch, learner.stopped = mine["best_epoch"], mine["stopped"]
        learner.best_loss = math.inf if mine["best_loss"] is None else mine["best_loss"]
    return int(state["step"])
