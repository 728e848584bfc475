"""Recipe + bank + (source → target) → a model for that direction: compose, attach, translate."""

from lingraft.direction.compose import Composition, compose, merge, route
from lingraft.direction.generate import generate
from lingraft.direction.recipe import Recipe
from lingraft.direction.room import budget
from lingraft.direction.stream import Job, Stream, fill
from lingraft.direction.translate import Translator, attach

__all__ = [
    "Composition",
    "Job",
    "Recipe",
    "Stream",
    "Translator",
    "attach",
    "budget",
    "compose",
    "fill",
    "generate",
    "merge",
    "route",
]
