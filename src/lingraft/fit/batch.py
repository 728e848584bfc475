"""From encoded rows to tensors: the rows of many adapters packed into batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from lingraft.atoms import Direction
from lingraft.base import Base
from lingraft.fit.learner import Row
from lingraft.fit.losses import cross_entropy


@dataclass(frozen=True)
class Batch:
    """Rows that pass the base together, those of one learner and direction side by side.

    Attributes:
        ids: [N, T] token ids; the encoder's input in an encoder–decoder.
        mask: [N, T] 1 where there is a token; None where right padding needs none.
        decoder_ids: [N, U] the decoder's input, or None for a decoder-only base.
        labels: [N, T] or [N, U]; the token to predict at each position, −100 where there is no loss.
        span: [N, T] True on the source span; None for an encoder–decoder.
        groups: (learner's index, direction, number of rows) in row order.
        answers: For each group the number of positions with a loss.
    """

    ids: Tensor
    mask: Tensor | None
    decoder_ids: Tensor | None
    labels: Tensor
    span: Tensor | None
    groups: list[tuple[int, Direction, int]]
    answers: list[int]


def _length(row: Row) -> int:
    return len(row.text.source) + len(row.text.target) + len(row.text.answer) - 1


def pack(rows: Sequence[Sequence[Row]], tokens: int) -> Iterator[list[tuple[int, Row]]]:
    """Yield batches of like length, at most ``tokens`` padded tokens each where rows allow it.

    Every learner's rows are sorted by length and cut into the same number of shares, so that a batch
    holds about as many rows of each learner: the groups are even, and the kernels need no padding.

    Args:
        rows: The rows of each learner.
        tokens: The budget of a batch.

    Yields:
        Pairs of a learner's index and a row, sorted by learner and direction; together each row once.
    """
    ordered = [sorted(mine, key=_length) for mine in rows]
    shares = max(map(len, ordered))
    batch: list[tuple[int, Row]] = []
    for n in range(shares):
        share = [
            (i, row)
            for i, mine in enumerate(ordered)
            for row in mine[n * len(mine) // shares : (n + 1) * len(mine) // shares]
        ]
        longest = max(_length(row) for _, row in batch + share)
        if batch and longest * (len(batch) + len(share)) > tokens:
            yield sorted(batch, key=_group)
            batch = []
        batch += share
    yield sorted(batch, key=_group)


def _group(pair: tuple[int, Row]) -> tuple[int, Direction]:
    return pair[0], pair[1].direction


def collate(base: Base, rows: Sequence[tuple[int, Row]]) -> Batch:
    """Return the tensors of a batch; the answer's last token is predicted but never read."""
    groups = [(*group, [row.text for _, row in members]) for group, members in groupby(rows, key=_group)]
    encoded = [row.text for _, row in rows]
    counts = [(index, direction, len(members)) for index, direction, members in groups]
    answers = [sum(len(row.answer) for row in members) for *_, members in groups]
    pad, device = base.format.pad, base.device
    if base.family.kind == "decoder":
        ids = _fill([row.source + row.target + row.answer[:-1] for row in encoded], pad)
        labels = _labels([(len(row.source) + len(row.target) - 1, row.answer) for row in encoded], ids.shape[1])
        sources = torch.tensor([len(row.source) for row in encoded])
        span = torch.arange(ids.shape[1])[None, :] < sources[:, None]
        return Batch(ids.to(device), None, None, labels.to(device), span.to(device), counts, answers)
    ids = _fill([row.source for row in encoded], pad)
    lengths = torch.tensor([len(row.source) for row in encoded])
    mask = (torch.arange(ids.shape[1])[None, :] < lengths[:, None]).long()
    decoder_ids = _fill([row.target + row.answer[:-1] for row in encoded], pad)
    labels = _labels([(len(row.target) - 1, row.answer) for row in encoded], decoder_ids.shape[1])
    return Batch(ids.to(device), mask.to(device), decoder_ids.to(device), labels.to(device), None, counts, answers)


def _fill(rows: Sequence[tuple[int, ...]], pad: int) -> Tensor:
    """Return the rows as one tensor, padded on the right to a multiple of 4."""
    length = -(-max(map(len, rows)) // 4) * 4
    return torch.tensor([row + (pad,) * (length - len(row)) for row in rows])


def _labels(answers: Sequence[tuple[int, tuple[int, ...]]], length: int) -> Tensor:
    """Return labels with each answer from its first position on, −100 elsewhere."""
    return torch.tensor(
        [(-100,) * start + answer + (-100,) * (length - start - len(answer)) for start, answer in answers]
    )


def losses(base: Base, batch: Batch, label_smoothing: float = 0.0) -> list[Tensor]:
    """Return for each group of the batch the summed cross-entropy over its answers' tokens.

    Only the logits of those positions are computed, some at a time. Every sum depends on its own rows alone.
    """
    model = base.model
    if batch.decoder_ids is None:
        hidden = model.get_decoder()(input_ids=batch.ids, use_cache=False)[0]
    else:
        hidden = model.model(
            input_ids=batch.ids, attention_mask=batch.mask, decoder_input_ids=batch.decoder_ids, use_cache=False
        )[0]
    wanted = batch.labels >= 0
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    each = cross_entropy(
        model.get_output_embeddings(), hidden[wanted], batch.labels[wanted], label_smoothing=label_smoothing, cap=cap
    )
    return [part.sum() for part in each.split(batch.answers)]
