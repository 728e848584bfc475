"""The two forms in which an adapter's weights are stored: a PEFT folder, or packed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from lingraft.library import packed, tensors
from lingraft.library.refusal import CONFIG, PACKED_CONFIG, PACKED_WEIGHTS, WEIGHTS
from lingraft.library.tensors import Shapes


@dataclass(frozen=True)
class Form:
    """Names of the files that hold config and weights, and how the latter are written and read."""

    config: str
    weights: str
    limit: Callable[[Shapes], int]
    """Most bytes of the weights, from the shapes alone."""
    write: Callable[[Mapping[str, Tensor]], bytes]
    read: Callable[[bytes | bytearray, Shapes], dict[str, Tensor]]


DENSE = Form(CONFIG, WEIGHTS, tensors.limit, tensors.write_tensors, tensors.read_tensors)
PACKED = Form(PACKED_CONFIG, PACKED_WEIGHTS, packed.limit, packed.write_packed, packed.read_packed)


def form_of(packed: bool) -> Form:
    """Return the form of which a manifest says whether it is the packed one."""
    return PACKED if packed else DENSE
