"""JSON from a stranger: bounded in size and depth, no name twice, finite numbers only."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from lingraft.library.refusal import JSON_BYTES, JSON_DEPTH


def parse_object(data: bytes | bytearray | memoryview, *, limit: int = JSON_BYTES) -> dict[str, Any]:
    """Return the object that ``data`` holds.

    Args:
        data: JSON in UTF-8.
        limit: Most bytes.

    Returns:
        Its fields by name.

    Raises:
        ValueError: It is too long or too deep, no JSON object, names something twice, or holds a number
            that is not finite; the message says which, to stand after "but".
    """
    if len(data) > limit:
        raise ValueError(f"has {len(data)} bytes (at most {limit} are read)")
    try:
        value = json.loads(
            bytes(data).decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__}")
    if _deeper(value, JSON_DEPTH):
        raise ValueError(f"is nested more than {JSON_DEPTH} deep")
    return value


def dump(value: Any) -> bytes:
    """Return ``value`` as JSON for people to read; equal values give equal bytes."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"names {next(name for name in names if names.count(name) > 1)[:80]!r} twice")
    return fields


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"holds {text}, which is no number")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"holds {text[:20]}, which is too large")
    return value


def _deeper(value: Any, levels: int) -> bool:
    """Say whether lists and objects are nested more than ``levels`` deep."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True
