"""Leaving: when a recovery may end before its last epoch; only held-out images of the training set say so."""

from dataclasses import dataclass

from elastic.alternating import Return


@dataclass
class Leaving:
    """What accuracy has to be back, in percent: a rule that moves with what was reached."""

    back_to: Return
    tolerance: float
    best: float
    before: float  # this round's attention

    def is_back(self, top1: float) -> bool:
        """Return whether an accuracy ends the recovery."""
        return top1 >= self.wanted

    @property
    def wanted(self) -> float:
        """The least accuracy that ends a recovery."""
        return (self.best if self.back_to == "best" else self.before) - self.tolerance

    def go_on(self, top1: float) -> None:
        """Begin the next round, at this accuracy."""
        self.best, self.before = max(self.best, top1), top1
