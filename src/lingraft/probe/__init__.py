"""What a trained library shows: where each language needs parameters."""

from lingraft.probe.picture import survival_svg
from lingraft.probe.ranks import suggest
from lingraft.probe.subspace import Cell, Survival, survival

__all__ = ["Cell", "Survival", "suggest", "survival", "survival_svg"]
