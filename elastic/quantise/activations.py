"""Input quantisers: one step for a whole tensor, zero always a level; unsigned where nothing negative was seen.

* `average`: the last level is a running average of the largest magnitude of each batch.
* `pact`: it is a clip that learns from what it clips: Choi et al., "PACT", arXiv:1805.06085, section 3; a price on its
  square draws it down (`Clipping`).
* `learned`: the step is a parameter (Esser et al., ICLR 2020).

In eval mode nothing moves, and an image's levels are its own. b bits have the levels 0 to 2^b - 1, with signs
-(2^(b-1) - 1) to as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from elastic.quantise.rounding import best_step, levels, positive, rounded, slowed
from elastic.training.processes import largest_over_processes

Ranges = Literal["average", "pact", "learned"]
RANGES: tuple[str, ...] = get_args(Ranges)
MOMENTUM = 0.05  # of the running average


@dataclass(frozen=True, eq=False)
class Seen:
    """What calibration saw of a layer's inputs: the largest magnitude of each batch, and a sample of values [n]."""

    is_signed: bool
    tops: Tensor
    sample: Tensor


class InputQuantiser(nn.Module):
    """Rounds a layer's inputs to so many bits; what its step is made of is `range`, not negative."""

    is_signed: Tensor
    lowest: int
    highest: int

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("is_signed", torch.tensor(True))
        self._set_levels()

    def calibrate(self, seen: Seen) -> None:
        """Change it to the levels and the step that suit what was seen."""
        self.is_signed.fill_(seen.is_signed)
        self._set_levels()
        with torch.no_grad():
            self._begin(seen, best_step(seen.sample[None], self.lowest, self.highest)[0])

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs [n, ..] in multiples of the step."""
        return rounded(inputs, self.step(), self.lowest, self.highest)

    def levels(self, inputs: Tensor) -> Tensor:
        """Return which multiples these are: int8, or uint8 where there are no signs."""
        return self.whole(inputs).to(torch.int8 if self.lowest else torch.uint8)

    def whole(self, inputs: Tensor) -> Tensor:
        """Return the same as floats."""
        return levels(inputs, self.step(), self.lowest, self.highest)

    def step(self) -> Tensor:
        """Return the step as it is now, a scalar above zero."""
        raise NotImplementedError

    def _begin(self, seen: Seen, step: Tensor) -> None:
        raise NotImplementedError

    def _set_levels(self) -> None:
        signed = bool(self.is_signed)
        self.highest = 2 ** (self.bits - signed) - 1
        self.lowest = -self.highest if signed else 0

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], *arguments: Any) -> None:
        super()._load_from_state_dict(state_dict, *arguments)
        self._set_levels()


class Average(InputQuantiser):
    """The last level is a running average of the largest magnitudes."""

    top: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.register_buffer("top", torch.tensor(1.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs in multiples of the step; in training the average moves first."""
        if self.training:
            with torch.no_grad():
                largest = largest_over_processes(inputs.abs().amax().float())
                self.top.lerp_(largest.to(self.top.dtype), MOMENTUM)
        return super().forward(inputs)

    def step(self) -> Tensor:
        """Return the step."""
        return positive(self.top / self.highest)

    def _begin(self, seen: Seen, step: Tensor) -> None:
        self.top.copy_(seen.tops.mean())


class Pact(InputQuantiser):
    """The last level is a clip that learns from what lies beyond it."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.clip = nn.Parameter(torch.tensor(6.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs in multiples of the step; the clip's gradient is that of what it clips alone."""
        clip = positive(self.clip)
        kind = torch.promote_types(inputs.dtype, clip.dtype)  # a clip of bfloat16 may lie beyond the last level
        clip = clip.to(kind)
        clipped = inputs.to(kind).clamp(-clip if self.lowest else torch.zeros_like(clip), clip)
        # What was clipped may lie a hair beyond the last level: to be clipped again would take its gradient.
        return rounded(clipped, self.step().detach(), self.lowest - 1, self.highest + 1).to(inputs.dtype)

    def step(self) -> Tensor:
        """Return the step."""
        return positive(self.clip) / self.highest

    def _begin(self, seen: Seen, step: Tensor) -> None:
        self.clip.copy_(step * self.highest)


class Learned(InputQuantiser):
    """The step itself learns."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.size = nn.Parameter(torch.tensor(1.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs in multiples of the step."""
        step = slowed(self.step(), max(1, inputs[0].numel()), self.highest)
        return rounded(inputs, step, self.lowest, self.highest)

    def step(self) -> Tensor:
        """Return the step."""
        return positive(self.size)

    def _begin(self, seen: Seen, step: Tensor) -> None:
        self.size.copy_(step)


class Fixed(InputQuantiser):
    """The step is data: what a network that is done has."""

    size: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.register_buffer("size", torch.tensor(1.0))

    def step(self) -> Tensor:
        """Return the step."""
        return self.size

    def _begin(self, seen: Seen, step: Tensor) -> None:
        self.size.copy_(step)


KINDS: Mapping[str, type[InputQuantiser]] = {"average": Average, "pact": Pact, "learned": Learned}


@torch.no_grad()
def fixed(quantiser: InputQuantiser) -> Fixed:
    """Return one that rounds as this one does in eval mode, with its step as data."""
    found = Fixed(quantiser.bits)
    found.is_signed.copy_(quantiser.is_signed)
    found._set_levels()
    found.size.copy_(quantiser.step())
    return found.to(quantiser.is_signed.device)
