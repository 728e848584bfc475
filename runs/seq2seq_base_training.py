"""The training of the seq2seq base: which rows come when, and a run of some steps that can be stopped and go on."""

from __future__ import annotations

import argparse
import io
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lingraft.atoms import Direction
from lingraft.atoms.durable import write_file
from lingraft.base import Base, Encoded
from lingraft.corpus import Pairs
from lingraft.library.disk import make_folder

LONGEST = 128  # tokens on one side
TEMPERATURE = 2.0  # 5, as M2M-100 has it, would show each of the few low-resource rows 40 times
WARM_UP, DECAY = 200, 0.4  # steps; share of all steps
CHECK_SECONDS = 90


def encode(base: Base, texts: Sequence[Pairs]) -> dict[Direction, list[Encoded]]:
    """Return the rows of both directions of each pair, without overlong ones."""
    rows = {}
    for pairs in texts:
        for a, b in ((pairs.a, pairs.b), (pairs.b, pairs.a)):
            encoded = base.format.encode(Direction(a, b), pairs.of(a), pairs.of(b))
            rows[Direction(a, b)] = [row for row in encoded if max(_size(row)) <= LONGEST]
    return rows


def _size(row: Encoded) -> tuple[int, int]:
    """Return how many tokens the encoder and the decoder read, each padded to a multiple of 4."""
    read, written = len(row.source), len(row.target) + len(row.answer) - 1
    return -(-read // 4) * 4, -(-written // 4) * 4


def batches(rows: dict[Direction, list[Encoded]], tokens: int, seed: int, epoch: int) -> Iterator[list[Encoded]]:
    """Yield the batches of an epoch: directions drawn in proportion to rows ** (1 / TEMPERATURE), in random order.

    Args:
        rows: The rows of each direction.
        tokens: The most padded tokens of a batch.
        seed: Of the run.
        epoch: As many rows as there are, counted from 0; its batches depend on the seed and on it alone.

    Yields:
        Rows of like length on both sides.
    """
    rng = random.Random(f"{seed}-{epoch}")
    weights = {direction: len(mine) ** (1 / TEMPERATURE) for direction, mine in rows.items()}
    scale = sum(map(len, rows.values())) / sum(weights.values())
    drawn: list[Encoded] = []
    for direction, mine in rows.items():
        whole, rest = divmod(round(scale * weights[direction]), len(mine))
        drawn += whole * mine + rng.sample(mine, rest)
    rng.shuffle(drawn)

    def snake(row: Encoded) -> tuple[int, int]:
        read, written = _size(row)
        return written, read if written % 8 else -read

    # Where the decoder's length grows the encoder's stays: a batch over the border needs little padding.
    drawn.sort(key=snake)
    found: list[list[Encoded]] = [[]]
    longest = (0, 0)
    for row in drawn:
        read, written = _size(row)
        wider = max(longest[0], read), max(longest[1], written)
        if found[-1] and sum(wider) * (len(found[-1]) + 1) > tokens:
            found.append([])
            wider = _size(row)
        found[-1].append(row)
        longest = wider
    rng.shuffle(found)
    yield from found


class Batch(NamedTuple):
    """Rows that pass the base together."""

    ids: Tensor  # N, T: read by the encoder
    mask: Tensor  # N, T: 1 where there is a token
    decoder_ids: Tensor  # N, U: read by the decoder
    labels: Tensor  # N, U: the answer's tokens where they are to be predicted, else −100


def collate(rows: Sequence[Encoded], pad: int) -> Batch:
    """Return the tensors of some rows, padded on the right."""
    read, written = (max(sizes) for sizes in zip(*map(_size, rows), strict=True))
    ids = torch.full((len(rows), read), pad)
    mask = torch.zeros_like(ids)
    decoder_ids = torch.full((len(rows), written), pad)
    labels = torch.full_like(decoder_ids, -100)
    for i, row in enumerate(rows):
        given = row.target + row.answer[:-1]
        ids[i, : len(row.source)] = torch.tensor(row.source)
        mask[i, : len(row.source)] = 1
        decoder_ids[i, : len(given)] = torch.tensor(given)
        labels[i, len(row.target) - 1 : len(given)] = torch.tensor(row.answer)
    return Batch(ids, mask, decoder_ids, labels)


def loss_of(model: Any, batch: Batch, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy over the answers' tokens, computed in bf16 where that is enough.

    Only their logits are computed. Nothing is compiled: with lengths that vary, a compiled step took 1.6 times
    as long on a CPU, and compiling a minute.
    """
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(
            input_ids=batch.ids, attention_mask=batch.mask, decoder_input_ids=batch.decoder_ids, use_cache=False
        )[0]  # N, U, D
        wanted = batch.labels >= 0
        logits = model.lm_head(hidden[wanted]).float()  # tokens with a loss, V
        return cross_entropy(logits, batch.labels[wanted], label_smoothing=smoothing)


class Training:
    """A run of some steps: warm-up, constant rate, then linear decay. How busy the machine is decides nothing."""

    def __init__(
        self, base: Base, rows: dict[Direction, list[Encoded]], check: list[Encoded], args: argparse.Namespace
    ):
        """Make the optimisers: Muon for the layers' matrices, AdamW for embeddings and norms."""
        self.base, self.rows, self.args = base, rows, args
        self.check = collate(check, base.format.pad)
        inner = [module.weight for module in map(base.module, base.sites)]
        chosen = set(map(id, inner))
        others = [p for p in base.model.parameters() if id(p) not in chosen]
        self.steppers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(inner, lr=args.lr, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self.state: dict[str, Any] = {"step": 0, "epoch": 0, "batch": 0, "tokens": 0, "seconds": 0.0, "held_out": None}

    def save(self, path: Path, identity: str) -> None:
        """Write all that the run needs to go on, in one step."""
        content = {
            "identity": identity,
            "state": self.state,
            "model": self.base.model.state_dict(),
            "steppers": [stepper.state_dict() for stepper in self.steppers],
            "random": torch.get_rng_state(),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        make_folder(path.parent)
        write_file(path, buffer.getvalue())

    def restore(self, path: Path, identity: str) -> None:
        """Go on from a checkpoint, where there is one of the same settings and data."""
        if not path.exists():
            return
        content = torch.load(path, weights_only=True)
        if content["identity"] != identity:
            print(f"{path} is of other settings or data; starting anew", flush=True)
            return
        self.base.model.load_state_dict(content["model"])
        for stepper, state in zip(self.steppers, content["steppers"], strict=True):
            stepper.load_state_dict(state)
        torch.set_rng_state(content["random"])
        self.state = content["state"]
        print(f"going on at step {self.state['step']}", flush=True)

    def run(self, path: Path, identity: str) -> None:
        """Train until all steps are taken; write a checkpoint now and then, and at the end."""
        state, last = self.state, self.args.steps
        start, checked = time.monotonic() - state["seconds"], time.monotonic()
        while state["step"] < last:
            left = itertools.islice(self.epoch(), state["batch"], None)
            for batch in itertools.islice(left, last - state["step"]):
                loss = self.step(batch)
                state["batch"] += 1
                state["seconds"] = time.monotonic() - start
                if state["step"] == last or time.monotonic() - checked >= CHECK_SECONDS:
                    self.report(loss)
                    self.save(path, identity)
                    checked = time.monotonic()
            if state["step"] < last:
                state["epoch"], state["batch"] = state["epoch"] + 1, 0

    def epoch(self) -> Iterator[list[Encoded]]:
        """Yield the batches of the epoch that the run is in."""
        return batches(self.rows, self.args.tokens, self.args.seed, self.state["epoch"])

    def step(self, rows: list[Encoded]) -> float:
        """Train on one batch and return its loss."""
        loss = loss_of(self.base.model, collate(rows, self.base.format.pad), smoothing=0.1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.base.model.parameters(), 1.0)
        left = 1 - self.state["step"] / self.args.steps
        rate = self.args.lr * min(1, (self.state["step"] + 1) / WARM_UP) * min(1, max(0.01, left / DECAY))
        for stepper in self.steppers:
            for group in stepper.param_groups:
                group["lr"] = rate
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        self.state["step"] += 1
        self.state["tokens"] += sum(len(row.source) + len(row.target) + len(row.answer) - 1 for row in rows)
        return loss.item()

    def report(self, loss: float) -> None:
        """Print where the run is, with the loss per token on dev, without smoothing."""
        model, state = self.base.model, self.state
        model.eval()
        with torch.no_grad():
            state["held_out"] = loss_of(model, self.check).item()
        model.train()
        minutes = state["seconds"] / 60
        print(
            f"step {state['step']} of {self.args.steps} epoch {state['epoch']} loss {loss:.3f} "
            f"dev {state['held_out']:.3f} {state['tokens'] / state['seconds']:.0f} tokens/s {minutes:.1f} min, "
            f"{minutes * (self.args.steps / state['step'] - 1):.1f} min left, then the scores",
            flush=True,
        )
