"""Safetensors files, written with the safetensors library and read by ourselves.

The library takes duplicate names and any dtype, so the header is checked here before a value is looked
at (format: the safetensors README, "Format").
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from math import prod
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from lingraft.library.refusal import JSON_BYTES, MAX_TENSORS, MAX_VALUE, WEIGHTS, refuse
from lingraft.library.strict_json import parse_object

FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
ITEM = 4
"""Most bytes of a value."""

Shapes = Mapping[str, tuple[int, int]]


class Entry(NamedTuple):
    """A tensor of a file: what its header says, still unchecked, and its bytes."""

    dtype: Any
    shape: Any
    data: memoryview


def limit(shapes: Shapes) -> int:
    """Return the most bytes that a file of tensors of these shapes may have."""
    return 8 + JSON_BYTES + ITEM * sum(map(prod, shapes.values()))


def write_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the bytes of a safetensors file; equal tensors give equal bytes."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return bytes(safetensors.torch.save(plain, metadata={"format": "pt"}))


def read_tensors(data: bytes | bytearray, shapes: Shapes) -> dict[str, Tensor]:
    """Return the tensors of ``adapter_model.safetensors``.

    Args:
        data: The file, from anyone.
        shapes: The names that it must have, no more and no fewer, each with its shape.

    Returns:
        Name → tensor in the dtype of the file, copied out of ``data``, in the order of ``shapes``.

    Raises:
        AdapterError: The header is malformed, a tensor is missing, extra, of another shape or dtype, or
            holds a value that is not finite or absurdly large. The message names the tensor.
    """
    entries = read_entries(data, shapes.keys(), WEIGHTS, "A and B of every site of its config, its token,")
    return {
        name: check_values(name, read_entry(name, entries[name], shape, FLOATS, WEIGHTS))
        for name, shape in shapes.items()
    }


def read_entries(data: bytes | bytearray, names: Collection[str], file: str, what: str) -> dict[str, Entry]:
    """Return the entries of a safetensors file whose tensors fill it without gap or overlap.

    Args:
        data: The file, from anyone.
        names: The names that it must have, no more and no fewer.
        file: What the messages call it.
        what: What these names are, for the message.

    Returns:
        Name → entry, whose dtype and shape are for `read_entry` to check.

    Raises:
        AdapterError: The header is malformed, or a tensor is missing or extra.
    """
    payload, header = _split(data, file)
    _check_names(set(header), set(names), file, what)
    entries, position = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: _start(item[0], item[1], file)):
        start, end = entry["data_offsets"]
        if start != position or end > len(payload):
            problem = f"`{name}` must begin at byte {position} and end by {len(payload)}, but is at {start}–{end}"
            raise malformed(file, problem)
        position = end
        entries[name] = Entry(entry["dtype"], entry["shape"], payload[start:end])
    if position != len(payload):
        raise malformed(file, f"the tensors must fill {len(payload)} bytes, but fill {position}")
    return entries


def read_entry(name: str, entry: Entry, shape: tuple[int, ...], dtypes: Mapping[str, torch.dtype], file: str) -> Tensor:
    """Return the tensor of an entry.

    Args:
        name: Its name.
        entry: Its entry.
        shape: The shape that it must have.
        dtypes: The dtypes that it may have.
        file: What the messages call the file.

    Returns:
        The tensor, with a copy of the bytes.

    Raises:
        AdapterError: It is of another dtype or shape, or has too many bytes or too few.
    """
    dtype = dtypes.get(entry.dtype) if isinstance(entry.dtype, str) else None
    if dtype is None:
        found = repr(entry.dtype)[:40]
        raise refuse("dtype", f"`{name}` must be of dtype {', '.join(dtypes)}, but is of {found} instead.")
    if not _naturals(entry.shape, len(shape)) or tuple(entry.shape) != shape:
        raise refuse("shape", f"`{name}` must have the shape {list(shape)}, but has {entry.shape!r:.60} instead.")
    if len(entry.data) != prod(shape) * dtype.itemsize:
        problem = f"`{name}` must have {prod(shape) * dtype.itemsize} bytes, but has {len(entry.data)}"
        raise malformed(file, problem)
    if not entry.data:  # torch makes no tensor of no bytes
        return torch.empty(shape, dtype=dtype)
    # A copy of its own is aligned for its dtype, wherever the file puts it.
    return torch.frombuffer(bytearray(entry.data), dtype=torch.uint8).view(dtype).reshape(shape)


def check_values(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor whose values are finite and not absurdly large.

    Args:
        name: Its name, for the message.
        tensor: The tensor.

    Returns:
        The same tensor.

    Raises:
        AdapterError: They are not.
    """
    largest = float(tensor.abs().max()) if tensor.numel() else 0.0
    if not largest <= MAX_VALUE:  # NaN too is not
        raise refuse(
            "values",
            f"`{name}` must hold finite values of at most {MAX_VALUE:g}, but holds {largest:g} instead. "
            "The training went wrong, or the file was altered.",
        )
    return tensor


def _naturals(value: Any, count: int) -> bool:
    """Say whether a value is a list of ``count`` whole numbers from 0."""
    return isinstance(value, list) and len(value) == count and all(type(n) is int and 0 <= n < 2**62 for n in value)


def malformed(file: str, problem: str) -> Exception:
    """Return the error that refuses a file whose header is wrong."""
    return refuse("header", f"in `{file}` {problem} instead. Get the adapter again.")


def _split(data: bytes | bytearray, file: str) -> tuple[memoryview, dict[str, Any]]:
    """Return the payload and the entries of the header."""
    if len(data) < 8:
        raise malformed(file, f"the file must have at least 8 bytes, but has {len(data)}")
    (length,) = struct.unpack("<Q", data[:8])
    if length > JSON_BYTES or 8 + length > len(data):
        most = min(JSON_BYTES, len(data) - 8)
        raise malformed(file, f"the header must have at most {most} bytes, but claims {length}")
    view = memoryview(data)
    try:
        header = parse_object(view[8 : 8 + length])
    except ValueError as error:
        raise malformed(file, f"the header must be JSON, but {error}") from None
    remarks = header.pop("__metadata__", {})
    if not isinstance(remarks, dict) or not all(isinstance(remark, str) for remark in remarks.values()):
        raise malformed(file, "`__metadata__` must hold texts, but holds something else")
    if len(header) > MAX_TENSORS:
        raise malformed(file, f"there must be at most {MAX_TENSORS} tensors, but there are {len(header)}")
    return view[8 + length :], header


def _check_names(found: set[str], wanted: set[str], file: str, what: str) -> None:
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing or extra:
        parts = [f"{verb} {len(names)}, e.g. {names[0][:160]!r}" for verb, names in
                 (("lacks", missing), ("has an extra", extra)) if names]  # fmt: skip
        raise refuse(
            "keys", f"`{file}` must hold {what} and no more, but {' and '.join(parts)}. Get the adapter again."
        )


def _start(name: str, entry: Any, file: str) -> int:
    """Return where a tensor begins, once its entry is known to be one."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise malformed(file, f"`{name}` must have dtype, shape and data_offsets, but has something else")
    if offsets is None or not _naturals(offsets, 2) or offsets[0] > offsets[1]:
        raise malformed(file, f"`{name}` must have two data_offsets, but has {offsets!r:.60}")
    return int(offsets[0])
