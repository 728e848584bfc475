"""Generate the answers of encoded rows as transformers does: by beam search, or greedily as a reference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from lingraft.base import Base, Encoded
from lingraft.delta import Route, Routing
from lingraft.direction.room import MOST, budget


@torch.no_grad()
def generate(
    base: Base,
    routing: Routing,
    rows: Sequence[Encoded],
    routes: Sequence[tuple[Route, int]],
    beam: int = 1,
    max_tokens: int = MOST,
) -> list[str]:
    """Generate the answers of encoded rows, each with its own route.

    Args:
        base: The base model.
        routing: The attached hooks.
        rows: The encoded prompts.
        routes: The route of each group of consecutive rows and the number of its rows.
        beam: Width of the beam; 1 is greedy, slower than ``Stream``.
        max_tokens: The most new tokens of a row.

    Returns:
        The decoded answers.
    """
    pad = base.format.pad
    decoder_only = base.family.kind == "decoder"
    prompts = [row.source + row.target if decoder_only else row.source for row in rows]
    length = max(map(len, prompts))
    ids = torch.full((len(rows), length), pad)
    mask = torch.zeros(len(rows), length, dtype=torch.long)
    span = torch.zeros(len(rows), length, dtype=torch.bool)
    for i, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        # A decoder goes on from the right end, so it is padded on the left.
        start = length - len(prompt) if decoder_only else 0
        ids[i, start : start + len(prompt)] = torch.tensor(prompt)
        mask[i, start : start + len(prompt)] = 1
        span[i, start : start + len(row.source)] = True
    routing.set(routes, span.to(base.device) if decoder_only else None)
    budgets = [budget(base, row, max_tokens) for row in rows]
    return [base.format.decode(answer) for answer in searched(base, ids, mask, rows, budgets, beam)]


@torch.no_grad()
def searched(
    base: Base,
    ids: Tensor,
    mask: Tensor,
    rows: Sequence[Encoded],
    budgets: Sequence[int],
    beam: int,
    several: int = 1,
) -> list[list[int]]:
    """Return what the model's own `generate` finds, whatever the base's ``generation_config`` would have it prefer.

    Who else is in the batch doesn't matter: all beams of a row end at its own budget.

    Args:
        base: The base; routes are set.
        ids: [N, T] what it reads; of a decoder-only base padded on the left.
        mask: [N, T] 1 where there is a token.
        rows: The encoded prompts, N of them.
        budgets: The most new tokens of each row.
        beam: Width of the beam; 1 is greedy.
        several: How many answers of each row to return, at most ``beam``.

    Returns:
        The new tokens of N · several answers, those of a row side by side, the likeliest first.
    """
    model, device, skip, more = base.model, base.device, ids.shape[1], {}
    own, plain = model.generation_config, GenerationConfig()
    if base.family.kind != "decoder":
        targets = torch.tensor([row.target for row in rows], device=device)
        skip, more, plain.decoder_start_token_id = targets.shape[1], {"decoder_input_ids": targets}, rows[0].target[0]
    model.generation_config = plain
    try:
        out = model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=max(budgets) + 1,  # one more for the end that is forced
            num_beams=beam,
            num_return_sequences=several,
            do_sample=False,
            pad_token_id=base.format.pad,
            eos_token_id=base.format.end,
            logits_processor=LogitsProcessorList([_Budgets(budgets, skip, base.format.end)]),
            **more,
        )
    finally:
        model.generation_config = own
    most = [each for each in budgets for _ in range(several)]
    return [answer[:length] for answer, length in zip(out[:, skip:].tolist(), most, strict=True)]


class _Budgets(LogitsProcessor):
    """Lets a row go on with nothing but the end once it has as many tokens as it may have."""

    def __init__(self, budgets: Sequence[int], skip: int, end: int) -> None:
        self._budgets, self._skip, self._end = torch.tensor(budgets), skip, end

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        each = self._budgets.repeat_interleave(len(scores) // len(self._budgets))
        over = (each <= input_ids.shape[1] - self._skip).to(scores.device)[:, None]
        end = torch.full_like(scores[:1], -torch.inf)
        end[:, self._end] = 0.0
        return torch.where(over, end, scores)
