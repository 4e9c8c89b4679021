"""Weight quantisers: symmetric, one step for each output channel; b bits have the levels of -(2^(b-1) - 1) to as much.

* `max`: the largest magnitude of a channel, of the weight as it is, is the last level.
* `learned`: the step is a parameter (Esser et al., ICLR 2020).
* `fixed`: what a network that is done has: the steps are data, the weights their multiples.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from elastic.quantise.rounding import best_step, levels, positive, rounded, slowed

WeightSteps = Literal["max", "learned"]
WEIGHT_STEPS: tuple[str, ...] = get_args(WeightSteps)


class WeightQuantiser(nn.Module):
    """Rounds weights [out, ..] to so many bits, with the largest magnitude of each channel as the last level."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.highest = 2 ** (bits - 1) - 1

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight in multiples of its steps."""
        return rounded(weight, self.steps(weight), -self.highest, self.highest)

    def levels(self, weight: Tensor) -> Tensor:
        """Return which multiples these are, int8."""
        return self.whole(weight).to(torch.int8)

    def whole(self, weight: Tensor) -> Tensor:
        """Return the same as floats."""
        return levels(weight, self.steps(weight), -self.highest, self.highest)

    def steps(self, weight: Tensor) -> Tensor:
        """Return the step of each channel [out], above zero."""
        return positive(weight.detach().flatten(1).abs().amax(1) / self.highest)


class LearnedWeightQuantiser(WeightQuantiser):
    """The same with steps that learn, from those of the least squared error."""

    def __init__(self, bits: int, weight: Tensor) -> None:
        super().__init__(bits)
        self.step = nn.Parameter(best_step(weight.detach().flatten(1), -self.highest, self.highest))

    def steps(self, weight: Tensor) -> Tensor:
        """Return the step of each channel [out]."""
        return slowed(positive(self.step), weight[0].numel(), self.highest)


class FixedWeightQuantiser(WeightQuantiser):
    """The same with steps that are data."""

    step: Tensor

    def __init__(self, bits: int, step: Tensor) -> None:
        super().__init__(bits)
        self.register_buffer("step", step)

    def steps(self, weight: Tensor) -> Tensor:
        """Return the step of each channel [out]."""
        return self.step


def weight_quantiser(kind: WeightSteps, bits: int, weight: Tensor) -> WeightQuantiser:
    """Return the quantiser of a layer's weight."""
    return LearnedWeightQuantiser(bits, weight) if kind == "learned" else WeightQuantiser(bits)
