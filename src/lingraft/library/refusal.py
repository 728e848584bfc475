"""How an adapter is refused, and the limits that hold before anything is allocated."""

from __future__ import annotations

from lingraft.atoms import AdapterError

JSON_BYTES = 1_000_000
"""Most bytes of a JSON file, and of the header of a safetensors file."""
JSON_DEPTH = 16
"""Most nested lists and objects in a JSON file."""
MAX_TENSORS = 4096
MAX_RANK = 512
MAX_VALUE = 1e4
"""Greatest magnitude of a weight or of a scale; trained values stay orders of magnitude below."""

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PACKED_CONFIG = "packed_config.json"
PACKED_WEIGHTS = "packed_model.safetensors"
MANIFEST = "manifest.json"
PROFILE = "profile.json"
CARD = "README.md"
FILES = (CONFIG, WEIGHTS, MANIFEST, PROFILE, CARD)
"""The files of an adapter's version; anything else in its folder is never opened."""
PACKED_FILES = (PACKED_CONFIG, PACKED_WEIGHTS, MANIFEST, PROFILE, CARD)
"""The files of a version whose weights are packed."""


def refuse(code: str, message: str) -> AdapterError:
    """Return the error that refuses an adapter, for the caller to raise.

    Args:
        code: What is wrong, stable and machine-readable, without the leading ``adapter.``.
        message: What must be, what is instead, and the remedy.

    Returns:
        The error, with its ``code`` set.
    """
    error = AdapterError(message)
    error.code = f"adapter.{code}"
    return error
