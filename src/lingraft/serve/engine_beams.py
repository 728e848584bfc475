"""Several translations of one sentence, by beam search."""

from __future__ import annotations

import torch

from lingraft.base import Base
from lingraft.delta import Routing
from lingraft.direction.generate import searched
from lingraft.direction.stream import Job


@torch.no_grad()
def beams(base: Base, routing: Routing, job: Job, count: int) -> list[str]:
    """Return the likeliest translations of one sentence.

    Args:
        base: The base.
        routing: Its hooks. Who uses them beside this states its own plan before each pass.
        job: The sentence.
        count: The width of the beam, and the most translations.

    Returns:
        At least one, all different, the likeliest first.
    """
    decoder_only = base.family.kind == "decoder"
    row, device = job.row, base.device
    ids = torch.tensor([row.source + row.target if decoder_only else row.source], device=device)  # 1, T
    span = torch.arange(ids.shape[1], device=device)[None] < len(row.source)
    routing.set([(job.route, 1)], span if decoder_only else None)
    found = searched(base, ids, torch.ones_like(ids), [row], [job.budget], count, several=count)
    return list(dict.fromkeys(map(base.format.decode, found)))
