"""Keep the input of each layer alone, and compute the rest of it again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch.utils.checkpoint import checkpoint

from lingraft.base import Base


@contextmanager
def recomputing(base: Base, wanted: bool = True) -> Iterator[None]:
    """Checkpoint every layer of a base's stacks for the length of a ``with`` block (Chen et al. 2016).

    Memory for activations falls from all of a layer's to one hidden state per layer; the backward pass costs a
    second forward pass. The layers stay in the mode they are in: a base that is frozen does not drop out.

    Args:
        base: The base.
        wanted: Whether to do so at all.

    Yields:
        Nothing; the layers are themselves again afterwards.
    """
    paths = [stack.layers for stack in base.family.stacks.values()] if wanted else []
    layers = [layer for path in paths for layer in base.model.get_submodule(path)]
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
