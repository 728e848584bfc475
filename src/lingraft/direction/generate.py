"""Generate the answers of encoded rows: greedily with rows leaving as they end, or by beam search."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from lingraft.base import Base, Encoded
from lingraft.delta import Route, Routing


@torch.no_grad()
def generate(
    base: Base,
    routing: Routing,
    rows: Sequence[Encoded],
    routes: Sequence[tuple[Route, int]],
    beam: int = 1,
    max_tokens: int = 256,
) -> list[str]:
    """Generate the answers of encoded rows, each with its own route.

    Args:
        base: The base model.
        routing: The attached hooks.
        rows: The encoded prompts.
        routes: The route of each group of consecutive rows and the number of its rows.
        beam: Width of the beam.
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
    device = base.device
    ids, mask = ids.to(device), mask.to(device)
    routing.set(routes, span.to(device) if decoder_only else None)
    # A translation is rarely more than twice as long as its source; the bound stops runaway rows. It is
    # each row's own, so that no row's answer depends on who else is in the batch.
    budgets = [min(max_tokens, 2 * len(row.source) + 24) for row in rows]
    if decoder_only and beam == 1:
        answers = _greedy(base, routing, ids, mask, budgets)
    else:
        extra = {} if decoder_only else {"decoder_input_ids": torch.tensor([row.target for row in rows], device=device)}
        out = base.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max(budgets),
            num_beams=beam,
            do_sample=False,
            pad_token_id=pad,
            eos_token_id=base.format.end,
            **extra,
        )
        skip = length if decoder_only else len(rows[0].target)
        answers = [answer[:most].tolist() for answer, most in zip(out[:, skip:], budgets, strict=True)]
    return [base.format.decode(answer) for answer in answers]


def _greedy(base: Base, routing: Routing, ids: Tensor, mask: Tensor, budgets: Sequence[int]) -> list[list[int]]:
    """Decode greedily; rows that are over leave the batch, so that one long row does not cost as many.

    Args:
        base: A decoder-only base.
        routing: The hooks, set to the batch.
        ids: [N, T] prompts, padded on the left.
        mask: [N, T] 1 where there is a token.
        budgets: The most new tokens of each row.

    Returns:
        The new tokens of each row, with the end token where it came to one.
    """
    answers: list[list[int]] = [[] for _ in budgets]
    alive = list(range(len(budgets)))
    cache = DynamicCache(config=base.model.config)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)  # N, T
    while True:
        out = base.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        chosen = out.logits[:, -1].argmax(-1)  # rows that are alive
        for row, token in zip(alive, chosen.tolist(), strict=True):
            answers[row].append(token)
        kept = [
            i for i, row in enumerate(alive) if answers[row][-1] != base.format.end and len(answers[row]) < budgets[row]
        ]
        if not kept:
            return answers
        if len(kept) < len(alive):
            alive = [alive[i] for i in kept]
            index = torch.tensor(kept, device=ids.device)
            cache.batch_select_indices(index)
            routing.keep(kept)
            chosen, mask, positions = chosen[index], mask[index], positions[index]
        ids, positions = chosen[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
