"""Decoding steps that a GPU replays: it is told once what to run, and Python no longer starts each operation.

A step of one token is many small operations, more with adapters than without. On a GPU, starting them takes several
times as long as running them. As long as the same rows run, all that changes from step to step are values in a few
tensors; so the operations are captured as a CUDA graph and replayed.

Verified on a CPU by replaying traced operations. A captured step of base and adapters has run on an H200
(``benchmarks/decode_step.py --graph``), but not yet these replays; so they are to be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lingraft.base import Base

Step = Callable[[], Tensor]
Record = Callable[[Step], Step]
"""Returns replays of a step, which gives the same tensor, with new values, every time."""

_MOVING_ROPE = ("dynamic", "longrope")  # what is read depends on how far the rows are, which the host would look up


def recorder(base: Base) -> Record | None:
    """Return what records the steps of a base, or None where they must be started one by one.

    That is on a CPU, and for bases whose layers see different stretches of what came before.
    """
    config: Any = base.model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) | {"full_attention"}
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    sliding = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    plain = kinds == {"full_attention"} and not sliding and rope not in _MOVING_ROPE
    fused = base.model.config._attn_implementation == "sdpa"  # others take masks of other kinds
    return Captures() if base.device.type == "cuda" and plain and fused else None


class Captures:
    """Captures one step after the other as CUDA graphs; each takes over the memory of the one before, which is over."""

    def __init__(self) -> None:
        """Prepare a stream to capture in."""
        self._stream = torch.cuda.Stream()
        self._last: torch.cuda.CUDAGraph | None = None  # memory is handed on as long as a graph has it

    def __call__(self, step: Step) -> Step:
        """Return replays of a step that has run before, so that what is made once is there."""
        graph = torch.cuda.CUDAGraph()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            pool = None if self._last is None else self._last.pool()
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                found = step()
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(self._stream)
        self._last = graph

        def replay() -> Tensor:
            graph.replay()
            return found

        return replay
