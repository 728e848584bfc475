"""One training loop, the regimes, exact resume."""

from lingraft.fit.full import Full
from lingraft.fit.indexing import Indexing
from lingraft.fit.joint import Joint, Pruning
from lingraft.fit.learner import Trained
from lingraft.fit.loop import Run, fit, hold_out
from lingraft.fit.modular import Modular
from lingraft.fit.report import Reporter, Several, Silent, TensorBoard
from lingraft.fit.settings import Context, Material, Training

__all__ = [
    "Context",
    "Full",
    "Indexing",
    "Joint",
    "Material",
    "Modular",
    "Pruning",
    "Reporter",
    "Run",
    "Several",
    "Silent",
    "TensorBoard",
    "Trained",
    "Training",
    "fit",
    "hold_out",
]
