"""One training loop, the regimes, exact resume."""

from lingraft.fit.learner import Trained
from lingraft.fit.loop import Run, fit, hold_out
from lingraft.fit.modular import Modular
from lingraft.fit.report import Reporter, Several, Silent, TensorBoard

__all__ = ["Modular", "Reporter", "Run", "Several", "Silent", "TensorBoard", "Trained", "fit", "hold_out"]
