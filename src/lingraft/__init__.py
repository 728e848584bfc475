"""Lingraft grows a translation system one language at a time."""

__version__ = "0.1.0"
