"""The settings of the HTTP service: limits that are on by default, keys, and who may call from a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lingraft.atoms.config import Settings

FilePath = Annotated[Path, Field(strict=False)]
"""A path, which YAML and the command line give as text."""


class ServeSettings(Settings):
    """What the service allows; every limit is on unless it is set to null."""

    characters: int = Field(default=20_000, ge=1)
    """Most characters of all texts of one request, markup included."""
    texts: int = Field(default=128, ge=1)
    """Most texts of one request."""
    body: int = Field(default=1_000_000, ge=1_000)
    """Most bytes of a request's body; a compressed body is refused."""
    alternatives: int = Field(default=5, ge=0, le=8)
    """Most other translations that may be asked for with each text; the engine looks for 8 at most."""
    rate: float | None = Field(default=1_200.0, gt=0)
    """Requests a minute per key, or per address where no keys are set; null: no limit."""
    burst: int = Field(default=120, ge=1)
    """Requests that may come at once before `rate` counts."""
    quota: int | None = Field(default=None, ge=1)
    """Characters per key from the start of the process (or per address, without keys); null: no limit."""
    slow: float = Field(default=30.0, gt=0)
    """Seconds that a client may take to send its request."""
    keys: FilePath | None = None
    """File of the clients' keys; null: everyone who reaches the port may translate."""
    admin_keys: FilePath | None = None
    """File of the keys for the admin verbs; null: there are no admin verbs."""
    origins: tuple[str, ...] = ()
    """Origins of web pages that may call the service from a browser, e.g. https://example.org; or "*"."""
