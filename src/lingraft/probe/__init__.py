"""What a trained library shows: where each language needs parameters, and where translation turns from English."""

from lingraft.probe.lens import System, hidden_states, logit_lens, unembed
from lingraft.probe.lens_picture import lens_svg
from lingraft.probe.lens_values import Curve, Lens, Reading
from lingraft.probe.picture import survival_svg
from lingraft.probe.ranks import suggest
from lingraft.probe.subspace import Cell, Survival, survival

__all__ = [
    "Cell",
    "Curve",
    "Lens",
    "Reading",
    "Survival",
    "System",
    "hidden_states",
    "lens_svg",
    "logit_lens",
    "suggest",
    "survival",
    "survival_svg",
    "unembed",
]
