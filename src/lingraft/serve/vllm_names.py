"""What the vLLM plugin is told: its settings, from the environment, and what a request calls an adapter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lingraft.atoms import ENGLISH, ConfigError, Direction, Role

_CODE = "[a-z]{3}_[A-Z][a-z]{3}"
_NAME = re.compile(
    rf"(?:(?P<whole>{_CODE})-(?P<to>{_CODE})|in\.(?P<source>{_CODE})(?:\+out\.(?P<target>{_CODE}))?|out\.(?P<only>{_CODE}))"
    r"(?:@(?P<recipe>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}))?"
)


@dataclass(frozen=True)
class Settings:
    """What the environment says."""

    library: Path
    """``LINGRAFT_LIBRARY``: folder of the library; without it, the plugin does nothing."""
    cache: Path
    """``LINGRAFT_VLLM_CACHE``: folder for composed adapters; by default one in the user's cache."""
    megabytes: int = 4096
    """``LINGRAFT_VLLM_CACHE_MB``: most megabytes in it."""
    everywhere: bool = False
    """``LINGRAFT_VLLM_SPANS=everywhere``: adapters that were trained to act on spans may act everywhere."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings | None:
        """Return the settings, or None where no library is named.

        Args:
            environment: Variable → value.

        Returns:
            The settings.

        Raises:
            ConfigError: A value is none of those that there are: all of them.
        """
        if not (library := environment.get("LINGRAFT_LIBRARY")):
            return None
        size, spans = environment.get("LINGRAFT_VLLM_CACHE_MB", "4096"), environment.get("LINGRAFT_VLLM_SPANS", "")
        problems = []
        if not re.fullmatch("[1-9][0-9]{0,8}", size):
            problems.append(f"`LINGRAFT_VLLM_CACHE_MB` must be a whole number from 1, but is {size!r:.40} instead.")
        if spans not in ("", "everywhere"):
            problems.append(f"`LINGRAFT_VLLM_SPANS` must be everywhere or unset, but is {spans!r:.40} instead.")
        if problems:
            raise ConfigError("\n".join(problems))
        user = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        cache = Path(environment.get("LINGRAFT_VLLM_CACHE") or user / "lingraft" / "vllm")
        return cls(Path(library), cache, int(size), spans == "everywhere")


@dataclass(frozen=True)
class Asked:
    """What the name of an adapter asks for."""

    direction: Direction
    """The pair of languages; English where only one side is named."""
    roles: tuple[Role, ...]
    """Which of its adapters."""
    each: bool
    """Whether they were named one by one, so that each must be there."""
    recipe: str | None = None
    """The name of a stored mixing."""


def read_name(name: str) -> Asked | None:
    """Return what a name asks for, or None where it is no name of ours: another resolver may know it."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    part = found.groupdict()
    if part["whole"]:
        return Asked(Direction(part["whole"], part["to"]), tuple(Role), False, part["recipe"])
    source, target = part["source"], part["target"] or part["only"]
    roles = tuple(role for role, language in ((Role.SOURCE, source), (Role.TARGET, target)) if language)
    return Asked(Direction(source or ENGLISH, target or ENGLISH), roles, True, part["recipe"])
