"""Adapters with many zeros, stored as the values that are left and a bit for each place.

A packed adapter has ``packed_config.json``, a PEFT config in all but name, and
``packed_model.safetensors`` with two tensors: ``mask``, one bit per place of A and B of every module in the
order of the config (the lowest bit of a byte first, 1: a value is left), and ``values``, what is left, in
the same order. A place is empty where all bits of its value are 0, so −0.0 is a value, and A and B come
back bit for bit. Names other than PEFT's keep it from being taken for a PEFT folder that lacks its weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

import numpy
import torch
from torch import Tensor

from lingraft.library.refusal import JSON_BYTES, PACKED_WEIGHTS, refuse
from lingraft.library.tensors import (
    FLOATS,
    ITEM,
    Shapes,
    check_values,
    malformed,
    read_entries,
    read_entry,
    write_tensors,
)

PAYS = 0.9
"""Weights are packed where that needs at most this share of their dense bytes; 0.87 of fp32 may be left."""
_BITS = {2: torch.int16, 4: torch.int32}
_MASK, _VALUES = "mask", "values"


def pays(tensors: Iterable[Tensor]) -> bool:
    """Say whether packing these weights is worth that plain PEFT can't read them without an export.

    Args:
        tensors: A and B of every module.

    Returns:
        Whether they are of one dtype that can be stored, and so many are 0 that the file is clearly smaller.
    """
    tensors = list(tensors)
    if len({tensor.dtype for tensor in tensors}) != 1 or tensors[0].dtype not in FLOATS.values():
        return False
    size = tensors[0].dtype.itemsize
    places = sum(tensor.numel() for tensor in tensors)
    left = sum(int(_there(tensor).sum()) for tensor in tensors)
    return size * left + places / 8 <= PAYS * size * places


def limit(shapes: Shapes) -> int:
    """Return the most bytes that a packed file of tensors of these shapes may have."""
    places = sum(map(prod, shapes.values()))
    return 8 + JSON_BYTES + ITEM * places + -(-places // 8)


def write_packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the bytes of a packed file of tensors of one dtype; equal tensors give equal bytes."""
    flat = torch.cat([tensor.detach().cpu().reshape(-1) for tensor in tensors.values()])
    there = _there(flat)
    mask = torch.from_numpy(numpy.packbits(there.numpy(), bitorder="little"))
    return write_tensors({_MASK: mask, _VALUES: flat[there]})


def read_packed(data: bytes | bytearray, shapes: Shapes) -> dict[str, Tensor]:
    """Return the tensors that ``write_packed`` wrote.

    Args:
        data: The file, from anyone; what it expands to is bounded by ``shapes``.
        shapes: The tensors that it must hold, in order, each with its shape.

    Returns:
        Name → tensor in the dtype of the file.

    Raises:
        AdapterError: The header is malformed, mask and values don't fit each other or the shapes, an empty
            place is stored as a value, or a value is not finite or absurdly large.
    """
    entries = read_entries(data, (_MASK, _VALUES), PACKED_WEIGHTS, "a mask and values")
    places = sum(map(prod, shapes.values()))
    mask = read_entry(_MASK, entries[_MASK], (-(-places // 8),), {"U8": torch.uint8}, PACKED_WEIGHTS)
    bits = torch.from_numpy(numpy.unpackbits(mask.numpy(), bitorder="little")).bool()
    if bool(bits[places:].any()):
        raise malformed(PACKED_WEIGHTS, f"`mask` must speak of {places} places, but speaks of more")
    there = bits[:places]
    values = read_entry(_VALUES, entries[_VALUES], (int(there.sum()),), FLOATS, PACKED_WEIGHTS)
    # Only one file holds given weights, so that equal adapters have equal hashes.
    if not bool(_there(values).all()):
        raise refuse("values", "`values` must be other than 0, which the mask says, but holds 0 instead. Get it again.")
    flat = torch.zeros(places, dtype=values.dtype)
    flat[there] = check_values(_VALUES, values)
    parts = flat.split([prod(shape) for shape in shapes.values()])
    # A copy of its own, so that one tensor does not keep all others in memory.
    return {name: part.reshape(shape).clone() for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _there(tensor: Tensor) -> Tensor:
    """Return where not all bits are 0."""
    return tensor.detach().contiguous().view(_BITS[tensor.dtype.itemsize]) != 0
