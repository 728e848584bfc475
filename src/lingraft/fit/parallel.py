"""The processes that train one run together: who they are, what they add up, and what one of them does alone.

Each process holds everything that is trained, and passes its share of every batch. Gradients and losses are summed
over all, so all take the same step. Files are written by one of them, the lead.

Processes are started by ``torchrun`` or ``accelerate launch``, which say in the environment who is who. Where nothing
is said, a process is alone, and nothing here costs anything.
"""

from __future__ import annotations

import atexit
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
import torch.distributed as dist
import transformers
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

import lingraft
from lingraft.atoms import ConfigError, LingraftError, TrainingError

T = TypeVar("T")
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_MEETING = timedelta(minutes=30)
_PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: the lead may bridge or write for long. Who starts them sees a dead one."""


@dataclass(frozen=True)
class Team:
    """A process among others that train the same run; by default alone."""

    rank: int = 0
    size: int = 1

    @property
    def lead(self) -> bool:
        """Whether it is the one that writes files and tells about progress."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.size == 1

    def share(self, rows: Sequence[T]) -> tuple[list[T], bool]:
        """Return this process's part of the rows of a batch, and whether it counts.

        Rows are dealt out in turn, so rows that stand in groups do so in each part, and the parts are alike. All
        processes must pass the base equally often, since a base in shards is put together by all of them: one that
        would have no row takes another's, which doesn't count.
        """
        mine = list(rows[self.rank :: self.size])
        return mine or list(rows[:1]), bool(mine)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by the sum over all processes."""
        if not self.alone:
            for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
                work.wait()

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Return the sum of each number over all processes, the same in each."""
        return self._reduced(numbers, dist.ReduceOp.SUM)

    def highest(self, number: int) -> int:
        """Return the highest number of all processes."""
        return int(self._reduced([number], dist.ReduceOp.MAX)[0])

    def _reduced(self, numbers: Sequence[float], how: dist.ReduceOp.RedOpType) -> list[float]:
        if self.alone:
            return list(numbers)
        found = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(found, how)
        return [float(number) for number in found.tolist()]

    def led(self, work: Callable[[], T]) -> T | None:
        """Let the lead do something while the others wait.

        Args:
            work: What to do; a file is written, say.

        Returns:
            What came of it in the lead, None in the others.

        Raises:
            LingraftError: If it failed; in all processes alike.
        """
        if self.alone:
            return work()
        result, problem = None, None
        if self.lead:
            try:
                result = work()
            except LingraftError as error:
                problem = error
        told: list[LingraftError | None] = [problem]
        dist.broadcast_object_list(told)
        if told[0] is not None:
            raise told[0]
        return result

    def first(self, work: Callable[[], T]) -> T:
        """Make something, never None, in the lead first and then in the others, which find what it put on the disk."""
        result = self.led(work)
        return work() if result is None else result

    def require_same(self, what: str, value: object, remedy: str) -> None:
        """Check that all processes mean the same.

        Args:
            what: What the value is, for the message.
            value: Anything whose ``repr`` tells it apart.
            remedy: What to do where they don't.

        Raises:
            TrainingError: If they don't.
        """
        if self.alone:
            return
        found: list[str] = [""] * self.size
        dist.all_gather_object(found, repr(value))
        for rank, other in enumerate(found):
            if other != found[0]:
                raise TrainingError(
                    f"{what} must be the same in all {self.size} processes, but is {found[0]} in process 0 and {other} "
                    f"in process {rank} instead. {remedy}"
                )

    def require_own(self, device: torch.device) -> None:
        """Check that no two processes train on the same GPU.

        Args:
            device: Where this one's base is.

        Raises:
            ConfigError: If they do.
        """
        if self.alone:
            return
        own = (platform.node(), os.environ.get("CUDA_VISIBLE_DEVICES"), str(device)) if device.type != "cpu" else None
        found: list[tuple[str, str | None, str] | None] = [None] * self.size
        dist.all_gather_object(found, own)
        if any((each is None) != (own is None) for each in found):
            raise ConfigError(
                "`device` must be of one kind in all processes, but is the CPU in some. Name it, e.g. --device cpu."
            )
        if own is not None and found.count(own) > 1:
            raise ConfigError(
                f"`device` must be another one in each process, but is {device} in {found.count(own)} of them. Start "
                "as many processes as there are GPUs, and leave out --device."
            )


def team() -> Team:
    """Return this process's place among those that were started with it, after meeting them.

    Returns:
        The place; alone where nobody else was started.

    Raises:
        ConfigError: If what the environment says is incomplete, or a backend of the caller's doesn't serve.
        TrainingError: If the others can't be reached, or run other versions.
    """
    if not dist.is_available():
        return Team()
    if not dist.is_initialized():
        if _world_size() < 2:
            return Team()
        _join()
    found = Team(dist.get_rank(), dist.get_world_size())
    if not found.alone:
        _meet(found)
    return found


def local_device() -> str:
    """Return the name of the device that this process should use: the GPU of its number, else the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    local = os.environ.get("LOCAL_RANK", "0")
    return f"cuda:{local}" if local.isdigit() and 0 < int(local) < torch.cuda.device_count() else "cuda"


def _world_size() -> int:
    text = os.environ.get("WORLD_SIZE", "1")
    if not text.isdigit():
        raise ConfigError(f"`WORLD_SIZE` must be the number of processes, but is {text!r} instead. Unset it.")
    return int(text)


def _join() -> None:
    """Meet the other processes: gloo carries what is in memory, NCCL what is on GPUs."""
    if missing := [name for name in _NEEDED if name not in os.environ]:
        raise ConfigError(
            f"`{missing[0]}` must be set, since WORLD_SIZE says that there are {os.environ['WORLD_SIZE']} processes, "
            "but is not. Start them with `torchrun` or `accelerate launch`, or unset WORLD_SIZE."
        )
    backend = "gloo"
    if torch.cuda.is_available() and dist.is_nccl_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(local_device())
    try:
        store, rank, size = next(rendezvous("env://", timeout=_MEETING))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:  # the errors of torch.distributed are among these
        raise TrainingError(
            f"the {os.environ['WORLD_SIZE']} processes of this run must reach each other, but process "
            f"{os.environ['RANK']} can't ({str(error).splitlines()[0]}). "
            "Check MASTER_ADDR, MASTER_PORT and the firewall."
        ) from error
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@cache
def _meet(found: Team) -> None:
    """Check once that the processes can work together."""
    backends = dist.get_backend_config()
    wanted = ["cpu:", *(["cuda:"] if torch.cuda.is_available() else [])]
    if "nccl" in backends and not torch.cuda.is_available():
        raise ConfigError(f"the backend must be gloo on a machine without CUDA, but is {backends}. Use gloo.")
    if not all(device in backends for device in wanted):
        raise ConfigError(
            f"the backend must serve {' and '.join(device[:-1] for device in wanted)}, but is {backends} instead. Call "
            'init_process_group("cpu:gloo,cuda:nccl"), or leave it to Lingraft.'
        )
    versions = {each.__name__: str(each.__version__) for each in (lingraft, torch, transformers)}
    found.require_same("the software", versions, "Install the same versions everywhere.")
