"""The words everything else is written in: languages, roles, directions, sites, errors, settings."""

from lingraft.atoms.errors import (
    AdapterError,
    BaseError,
    ConfigError,
    DataError,
    LanguageError,
    LibraryError,
    LingraftError,
    TrainingError,
)
from lingraft.atoms.words import ENGLISH, AdapterName, Direction, Key, Role, Scope, Score, Site

__all__ = [
    "ENGLISH",
    "AdapterError",
    "AdapterName",
    "BaseError",
    "ConfigError",
    "DataError",
    "Direction",
    "Key",
    "LanguageError",
    "LibraryError",
    "LingraftError",
    "Role",
    "Scope",
    "Score",
    "Site",
    "TrainingError",
]
