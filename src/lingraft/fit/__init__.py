"""One training loop, the regimes, exact resume."""

from lingraft.fit.loop import Run, Trained, fit, hold_out
from lingraft.fit.modular import Modular
from lingraft.fit.report import Reporter, Several, Silent, TensorBoard

__all__ = ["Modular", "Reporter", "Run", "Several", "Silent", "TensorBoard", "Trained", "fit", "hold_out"]
