"""Followed: what travels beside a tensor while a network runs: which cell each position of each axis carries.

A tensor in memory is a box, so all that can leave it are whole slices along its axes: one array for each axis says
everything, and an axis without one keeps its size. The size of an image's labels is C, not C x H x W.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from elastic.plan import IntArray

Choice = tuple[object, ...]  # where a choice was made, so that it can be taken back


@dataclass(eq=False, slots=True)
class Followed:
    """Cells along the axes of a tensor. Never changed: there is one for each tensor of each run, and freezing costs.

    `vanishes` says that its elements are zero wherever a unit's parameters are, which is what sums over units need.
    `choices` are those that its cells went through since a weight made them; `layers` the steps that made it; `weight`
    the name of the parameter that it is a view or a function of.
    """

    axes: Mapping[int, IntArray] = field(default_factory=dict)
    vanishes: bool = False
    choices: frozenset[Choice] = frozenset()
    layers: tuple[int, ...] = ()
    weight: str = ""
    elements: int = 0  # of that parameter
    why: str = ""  # axes without cells are fixed

    def with_axes(self, axes: Mapping[int, IntArray]) -> "Followed":
        """Return the same with other axes."""
        return Followed(axes, self.vanishes, self.choices, self.layers, self.weight, self.elements, self.why)


NOTHING = Followed()
