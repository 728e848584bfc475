"""Generate the answers of encoded rows as transformers does: by beam search, or greedily as a reference."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lingraft.base import Base, Encoded
from lingraft.delta import Route, Routing
from lingraft.direction.stream import budget


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
    device = base.device
    ids, mask = ids.to(device), mask.to(device)
    routing.set(routes, span.to(device) if decoder_only else None)
    budgets = [budget(row, max_tokens) for row in rows]
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
