"""Checkpoints of a training run: safetensors and JSON, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lingraft.atoms import TrainingError
from lingraft.base import Base
from lingraft.fit.learner import Learner
from lingraft.fit.modular import Modular, Task


def run_id(base: Base, regime: Modular, tasks: Sequence[Task]) -> str:
    """Return a hash of all that decides a run's result: settings, base, format and every row."""
    digest = hashlib.sha256()
    digest.update(json.dumps(regime.model_dump(mode="json"), sort_keys=True).encode())
    digest.update(f"{base.fingerprint} {base.tokenizer_hash} {base.format.hash}".encode())
    for task in tasks:
        digest.update(repr((str(task.name), task.scope.value, task.sites, task.rows, task.dev)).encode())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one run in a folder of its own; only the newest complete one is kept."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made at the first save."""
        self.folder = folder

    def save(self, learners: Sequence[Learner], step: int) -> None:
        """Write the state of all learners durably, then drop the older checkpoint.

        Args:
            learners: All learners of the run, the stopped ones too.
            step: Steps of the run so far; names the checkpoint.

        Raises:
            TrainingError: If the disk is full or cannot be written; the older checkpoint stays.
        """
        tensors: dict[str, Tensor] = {}
        state: dict[str, Any] = {"step": step, "learners": {}}
        for learner in learners:
            name = str(learner.task.name)
            tensors |= {f"{name}/{key}": value.detach().cpu() for key, value in _tensors(learner).items()}
            state["learners"][name] = {
                "step": learner.step,
                "bad_epochs": learner.bad_epochs,
                "best_loss": learner.best_loss if learner.best else None,
                "best_epoch": learner.best_epoch,
                "stopped": learner.stopped,
            }
        final = self.folder / f"step-{step:09d}"
        draft = self.folder / f".draft-{step:09d}"
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            save_file(tensors, draft / "state.safetensors")
            (draft / "state.json").write_text(json.dumps(state, indent=1))
            for path in (draft / "state.safetensors", draft / "state.json", draft):
                _sync(path)
            shutil.rmtree(final, ignore_errors=True)
            draft.rename(final)
            _sync(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise TrainingError(
                f"a checkpoint could not be written to {self.folder}: {error}. The last one is kept; "
                "make room and run the same command again."
            ) from error
        for old in self._complete()[:-1]:
            shutil.rmtree(old, ignore_errors=True)

    def restore(self, learners: Sequence[Learner]) -> int:
        """Load the newest checkpoint into the learners.

        Args:
            learners: Fresh learners of the same run; their parameters, optimiser and schedule are overwritten.

        Returns:
            The step to go on from; 0 where there is no checkpoint.
        """
        if not (complete := self._complete()):
            return 0
        newest = complete[-1]
        state = json.loads((newest / "state.json").read_text())
        tensors = load_file(newest / "state.safetensors")
        for learner in learners:
            name = str(learner.task.name)
            mine = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
            _restore(learner, mine, state["learners"][name])
        return int(state["step"])

    def clear(self) -> None:
        """Remove the run's folder, once its result is safe elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _complete(self) -> list[Path]:
        """Return the complete checkpoints, oldest first; drafts have another name."""
        return sorted(self.folder.glob("step-*")) if self.folder.exists() else []


def _tensors(learner: Learner) -> dict[str, Tensor]:
    """Return weights, optimiser moments and best weights by name."""
    found: dict[str, Tensor] = {}
    for i, parameter in enumerate(learner.parameters):
        found[f"now/{i}"] = parameter
        for key, value in learner.optimizer.state.get(parameter, {}).items():
            found[f"adam/{i}/{key}"] = value
    for i, tensor in enumerate(tensor for pair in learner.best.values() for tensor in pair):
        found[f"best/{i}"] = tensor
    return found


@torch.no_grad()
def _restore(learner: Learner, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Inverse of what ``save`` wrote for one learner."""
    for i, parameter in enumerate(learner.parameters):
        parameter.copy_(tensors[f"now/{i}"])
        moments = {key: tensors[f"adam/{i}/{key}"] for key in ("step", "exp_avg", "exp_avg_sq")
                   if f"adam/{i}/{key}" in tensors}  # fmt: skip
        if moments:
            learner.optimizer.state[parameter] = {
                key: value.clone() if key == "step" else value.to(parameter.device) for key, value in moments.items()
            }
    if state["best_loss"] is not None:
        device = learner.parameters[0].device
        learner.best = {
            site: (tensors[f"best/{2 * i}"].to(device), tensors[f"best/{2 * i + 1}"].to(device))
            for i, site in enumerate(learner.updates)
        }
        learner.best_loss = state["best_loss"]
    learner.step, learner.bad_epochs = state["step"], state["bad_epochs"]
    learner.best_epoch, learner.stopped = state["best_epoch"], state["stopped"]


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
