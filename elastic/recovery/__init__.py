"""Recovery without labels: a network that was cut is fitted to the outputs of the one it was cut from."""

from elastic.recovery.fitting import Fit
from elastic.recovery.norms import reestimate_norms
from elastic.recovery.repairing import ROUNDS, Progress, Repair, repair

__all__ = ["ROUNDS", "Fit", "Progress", "Repair", "reestimate_norms", "repair"]
