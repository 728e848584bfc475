"""The errors a user can meet: each names the thing, what it must be and is, and what to do."""

from __future__ import annotations


class LingraftError(Exception):
    """Base of every error that a user's input or machine can cause.

    ``code`` is stable and machine-readable; the message is one or more sentences for a person, in
    the grammar "`x` must be …, but is … instead. Remedy."
    """

    code = "error"


class ConfigError(LingraftError):
    """A setting is unknown, of the wrong type or out of range."""

    code = "config"


class LanguageError(LingraftError):
    """A language name or code is unknown or ambiguous."""

    code = "language"


class DataError(LingraftError):
    """A text file cannot be used: missing, malformed, empty, of unequal length."""

    code = "data"


class BaseError(LingraftError):
    """A base model cannot be loaded or is not of a supported family."""

    code = "base"


class AdapterError(LingraftError):
    """An adapter is malformed, damaged, or made for another base."""

    code = "adapter"


class LibraryError(LingraftError):
    """A library folder is missing, damaged, busy or lacks a language."""

    code = "library"


class TrainingError(LingraftError):
    """Training cannot go on: loss is not finite, the disk is full, a run belongs to other settings."""

    code = "training"
