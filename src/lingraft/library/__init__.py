"""Bank ⇄ adapters on disk: PEFT folders with manifests, in a library that is always whole."""

from lingraft.library.check import Finding, check
from lingraft.library.folder import load, save, save_composition
from lingraft.library.manifest import DataSource, Manifest, Pointer, Record, Scored, Training
from lingraft.library.module import LanguageModule
from lingraft.library.store import Library

__all__ = [
    "DataSource",
    "Finding",
    "LanguageModule",
    "Library",
    "Manifest",
    "Pointer",
    "Record",
    "Scored",
    "Training",
    "check",
    "load",
    "save",
    "save_composition",
]
