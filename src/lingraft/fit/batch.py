"""From encoded rows to tensors: the rows of many adapters packed into batches of like length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from lingraft.atoms import Direction
from lingraft.base import Base
from lingraft.fit.learner import Learner, Row
from lingraft.fit.losses import cross_entropy

_Block = tuple[int, list[Row]]  # a learner's index, and rows of it by length


class Costs(NamedTuple):
    """What it costs, in tokens that pass the base in the same time, that there is one more of something."""

    batch: float = 500.0
    """A batch: the base's weights are read and cast, and each operation is started once more."""
    touch: float = 0.0
    """A learner in a batch: its factors are read, cast and stacked, and their gradients cast and added up."""


_UNKNOWN = Costs()
_PER_WEIGHT, _PER_SITE = 60, 2.5e8  # what a batch takes for each weight and site of the base, in FLOPs of its products
_PER_OWN = 600  # what a learner in a batch takes for each weight that it trains
_GPU = 50  # times as many FLOPs fit into the time in which a GPU reads or starts something; a guess, not measured yet
_LEAST = 8  # rows of a batch, where there are as many


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


def pack(rows: Sequence[Sequence[Row]], tokens: int, costs: Costs = _UNKNOWN) -> list[list[tuple[int, Row]]]:
    """Return batches of like length, of at most ``tokens`` padded tokens each where a row allows it.

    Each learner's rows are sorted by length and cut into blocks. A batch holds blocks of like length and equal size of
    different learners: so the groups are even, and the kernels need no padding. In small blocks lengths are most alike;
    in large ones, adapters are read for fewer batches; likewise in small batches and large ones. What costs least is
    taken.

    Args:
        rows: The rows of each learner.
        tokens: The budget of a batch.
        costs: What batches cost; see ``costs_of``.

    Returns:
        Batches of pairs of a learner's index and a row, sorted by learner and direction; together each row once.
    """
    ordered = [sorted(mine, key=_length) for mine in rows]
    most, budgets = max(map(len, ordered)), (tokens, tokens // 2, tokens // 4)
    sizes = [2**n for n in range(most.bit_length()) if 2**n * len(rows) >= _LEAST and 2**n < most]
    packings = (_packed(ordered, budget, size) for size in (*sizes, most) for budget in budgets)
    best = min(packings, key=lambda packed: _cost(packed, costs))
    return [sorted(((i, row) for i, block in batch for row in block), key=_group) for batch in best]


def costs_of(base: Base, learners: Sequence[Learner], processes: int = 1) -> Costs:
    """Return what batches of some learners cost on a base, where a token takes four FLOPs for each of its weights.

    The numbers are fitted to steps of 1, 8 and 32 learners in blocks of 1 to 64 rows, on bases of 5 and 25 million
    weights on one core; what they say of those steps is right within 5 %.

    Args:
        base: The base.
        learners: Who takes a step.
        processes: How many take it together; each reads base and learners for its share of a batch.

    Returns:
        The costs.
    """
    weights = sum(math.prod(base.shape(site)) for site in base.sites)
    own = sum(each.values.numel() for learner in learners for each in learner.weights.values()) / len(learners)
    token = 4 * weights / (1 if base.device.type == "cpu" else _GPU) / processes
    return Costs((_PER_WEIGHT * weights + _PER_SITE * len(base.sites)) / token, _PER_OWN * own / token)


def _packed(ordered: Sequence[Sequence[Row]], tokens: int, size: int) -> list[list[_Block]]:
    """Pack blocks of at most ``size`` rows, of each learner at most one in a batch."""
    kinds: dict[int, list[_Block]] = {}
    for i, mine in enumerate(ordered):
        for part in _blocks(mine, tokens, size):
            kinds.setdefault(len(part), []).append((i, part))
    batches = []
    for count, blocks in kinds.items():
        waiting = sorted(blocks, key=_longest)
        while waiting:
            batch: dict[int, _Block] = {}
            later = []
            for n, block in enumerate(waiting):  # noqa: B007 – what comes after the last one is read below
                if len(batch) == len(ordered) or (batch and _longest(block) * count * (len(batch) + 1) > tokens):
                    break
                if block[0] in batch:
                    later.append(block)
                else:
                    batch[block[0]] = block
            else:
                n = len(waiting)
            waiting = later + waiting[n:]
            batches.append(list(batch.values()))
    return batches


def _blocks(mine: Sequence[Row], tokens: int, size: int) -> Iterator[list[Row]]:
    block: list[Row] = []
    for row in mine:
        if block and (len(block) == size or _length(row) * (len(block) + 1) > tokens):
            yield block
            block = []
        block.append(row)
    yield block


def _longest(block: _Block) -> int:
    return _length(block[1][-1])


def _cost(packed: Sequence[Sequence[_Block]], costs: Costs) -> float:
    """Return what some batches cost, in tokens: those that they hold, padding included, and what is read for each."""
    return sum(
        costs.batch + costs.touch * len(batch) + max(map(_longest, batch)) * sum(len(block) for _, block in batch)
        for batch in packed
    )


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
