"""Informing: say it when scores tell nothing, instead of cutting by noise without a word.

Two things can be found out for certain: scores that are all the same, and labels that a network's predictions don't go
with. Shuffled labels show in the second. They do not show in the gradients, which are large and regular then: all of
them pull a trained network away from what it knows.
"""

import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elastic.importance.seam import Scores

ABOVE_CHANCE = 3.0  # standard deviations
FEWEST = 30  # labels that are judged: of fewer, a good network may miss too many


class NoInformation(UserWarning):
    """Scores that tell nothing of which units matter."""


def warn_if_all_equal(scores: Scores, name: str) -> None:
    """Warn if two or more units all have the same score."""
    if scores.size > 1 and np.ptp(scores) == 0:
        reason = "what it is made of is zero" if scores[0] == 0 else "nothing tells units apart"
        advice = "check the loss, the labels and the data, or choose another criterion"
        warnings.warn(
            f"criterion {name!r} has no information: all {scores.size} units score {scores[0]:g}, {reason}; {advice}",
            NoInformation,
            stacklevel=3,
        )


@dataclass
class Guesses:
    """How many labels a classifier predicts, and how many it would if they had nothing to do with its predictions."""

    hits: int = 0
    predicted: Counter[int] = field(default_factory=Counter)
    labelled: Counter[int] = field(default_factory=Counter)

    @torch.no_grad()
    def add(self, outputs: Any, labels: Any) -> None:
        """Change the counts by those of a batch; one that isn't logits [n, classes] with labels [n] is passed over."""
        if not (isinstance(outputs, Tensor) and isinstance(labels, Tensor)) or labels.is_floating_point():
            return
        if outputs.dim() == 2 and labels.shape == outputs.shape[:1]:
            guesses = outputs.argmax(1)
            self.hits += int((guesses == labels).sum())
            self.predicted.update(guesses.tolist())
            self.labelled.update(labels.tolist())

    def warn_if_by_chance(self) -> None:
        """Warn if not clearly more labels are predicted than if they were shuffled.

        Shuffled, hits have the mean e = sum over classes of predicted x labelled / n, and a variance near e(1 - e/n).
        Nothing is said of labels that are all the same, or so few that they could be right or wrong by luck.
        """
        total = self.labelled.total()
        if len(self.labelled) < 2 or total < FEWEST:
            return
        chance = sum(self.predicted[label] * count for label, count in self.labelled.items()) / total
        limit = chance + ABOVE_CHANCE * (chance * (1 - chance / total)) ** 0.5
        best = sum(count * count for count in self.labelled.values()) / total
        is_decidable = total > best + ABOVE_CHANCE * (best * (1 - best / total)) ** 0.5
        if is_decidable and self.hits <= limit:
            warnings.warn(
                f"the network predicts {self.hits} of {total} labels, and {chance:.0f} would be chance: scores from "
                f"these labels hold no information on what it has learnt; are they shuffled, or of other classes, or "
                f"is it untrained?",
                NoInformation,
                stacklevel=4,
            )
