"""``adapter_model.safetensors``, written with the safetensors library and read by ourselves.

The library takes duplicate names and any dtype, so the header is checked here before a value is looked
at (format: the safetensors README, "Format").
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from lingraft.library.refusal import JSON_BYTES, MAX_TENSORS, MAX_VALUE, WEIGHTS, refuse
from lingraft.library.strict_json import parse_object

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_ITEM = 4
"""Most bytes of a value."""

Shapes = Mapping[str, tuple[int, int]]


def limit(shapes: Shapes) -> int:
    """Return the most bytes that a file of tensors of these shapes may have."""
    return 8 + JSON_BYTES + _ITEM * sum(map(prod, shapes.values()))


def write_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the bytes of a safetensors file; equal tensors give equal bytes."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return bytes(safetensors.torch.save(plain, metadata={"format": "pt"}))


def read_tensors(data: bytes | bytearray, shapes: Shapes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Args:
        data: The file, from anyone.
        shapes: The names that it must have, no more and no fewer, each with its shape.

    Returns:
        Name → tensor in the dtype of the file, copied out of ``data``, in the order of ``shapes``.

    Raises:
        AdapterError: The header is malformed, a tensor is missing, extra, of another shape or dtype, or
            holds a value that is not finite or absurdly large. The message names the tensor.
    """
    payload, header = _split(data)
    _check_names(set(header), set(shapes))
    tensors, position = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: _start(*item)):
        dtype, start, end = _entry(name, entry, shapes[name])
        if start != position or end > len(payload):
            raise _header(f"`{name}` must begin at byte {position} and end by {len(payload)}, but is at {start}–{end}")
        position = end
        # A copy of its own is aligned for its dtype, wherever the file puts it.
        raw = torch.frombuffer(bytearray(payload[start:end]), dtype=torch.uint8)
        tensors[name] = _checked(name, raw.view(dtype).reshape(shapes[name]))
    if position != len(payload):
        raise _header(f"the tensors must fill {len(payload)} bytes, but fill {position}")
    return {name: tensors[name] for name in shapes}


def _split(data: bytes | bytearray) -> tuple[memoryview, dict[str, Any]]:
    """Return the payload and the entries of the header."""
    if len(data) < 8:
        raise _header(f"the file must have at least 8 bytes, but has {len(data)}")
    (length,) = struct.unpack("<Q", data[:8])
    if length > JSON_BYTES or 8 + length > len(data):
        raise _header(f"the header must have at most {min(JSON_BYTES, len(data) - 8)} bytes, but claims {length}")
    view = memoryview(data)
    try:
        header = parse_object(view[8 : 8 + length])
    except ValueError as error:
        raise _header(f"the header must be JSON, but {error}") from None
    remarks = header.pop("__metadata__", {})
    if not isinstance(remarks, dict) or not all(isinstance(remark, str) for remark in remarks.values()):
        raise _header("`__metadata__` must hold texts, but holds something else")
    if len(header) > MAX_TENSORS:
        raise _header(f"there must be at most {MAX_TENSORS} tensors, but there are {len(header)}")
    return view[8 + length :], header


def _check_names(found: set[str], wanted: set[str]) -> None:
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing or extra:
        parts = [f"{what} {len(names)}, e.g. {names[0][:160]!r}" for what, names in
                 (("lacks", missing), ("has an extra", extra)) if names]  # fmt: skip
        raise refuse(
            "keys",
            f"`{WEIGHTS}` must hold A and B of every site of its config and no more, but {' and '.join(parts)}. "
            "Get the adapter again.",
        )


def _start(name: str, entry: Any) -> int:
    """Return where a tensor begins, once its entry is known to be one."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _header(f"`{name}` must have dtype, shape and data_offsets, but has something else")
    if offsets is None or not _naturals(offsets) or offsets[0] > offsets[1]:
        raise _header(f"`{name}` must have two data_offsets, but has {offsets!r:.60}")
    return int(offsets[0])


def _entry(name: str, entry: dict[str, Any], shape: tuple[int, int]) -> tuple[torch.dtype, int, int]:
    """Return dtype, begin and end of a tensor whose header entry is right."""
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        found = repr(entry["dtype"])[:40]
        raise refuse("dtype", f"`{name}` must be of dtype {', '.join(_DTYPES)}, but is of {found} instead.")
    if not _naturals(entry["shape"]) or tuple(entry["shape"]) != shape:
        raise refuse("shape", f"`{name}` must have the shape {list(shape)}, but has {entry['shape']!r:.60} instead.")
    start, end = entry["data_offsets"]
    if end - start != prod(shape) * dtype.itemsize:
        raise _header(f"`{name}` must have {prod(shape) * dtype.itemsize} bytes, but has {end - start}")
    return dtype, start, end


def _naturals(value: Any) -> bool:
    """Say whether a value is a list of two whole numbers from 0."""
    return isinstance(value, list) and len(value) == 2 and all(type(n) is int and 0 <= n < 2**62 for n in value)


def _checked(name: str, tensor: Tensor) -> Tensor:
    largest = float(tensor.abs().max())
    if not largest <= MAX_VALUE:  # NaN too is not
        raise refuse(
            "values",
            f"`{name}` must hold finite values of at most {MAX_VALUE:g}, but holds {largest:g} instead. "
            "The training went wrong, or the file was altered.",
        )
    return tensor


def _header(problem: str) -> Exception:
    return refuse("header", f"in `{WEIGHTS}` {problem} instead. Get the adapter again.")
