"""Branches: a layer at the moment at which it is fitted, with what lies between it and the end where it is matched."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from elastic.watching.calls import Call
from elastic.watching.sites import Site, undone


@dataclass(frozen=True, eq=False)
class Branch:
    """A layer with what it now reads, the calls after it up to a sum, and what they should make for the sum."""

    site: Site
    call: Call
    between: Sequence[tuple[Call, int]]
    wanted: Tensor

    def end(self, made: Tensor) -> Tensor:
        """Return what arrives at the sum of what the layer makes."""
        for call, side in self.between:
            made = call.run({side: made})
        return made

    def error(self, made: Tensor) -> Tensor | None:
        """Return what has to be added to what the layer makes; nothing for a channel whose norm has no gain.

        None if nothing has to be, or what is wanted is not finite.
        """
        error = self.wanted - self.end(made)
        least, most = error.aminmax()
        if not (least.isfinite() and most.isfinite() and (least or most)):
            return None
        for call, side in reversed(self.between):
            error = undone(call, side, error)
        return error.nan_to_num(0, 0, 0) if self.between else error

    def reading(self, x: Tensor) -> "Branch":
        """Return the same where the layer reads something else."""
        return replace(self, call=self.call.with_first(x))

    def on(self, images: Tensor) -> "Branch":
        """Return the same for some of the images, the numbers of which rise."""
        if len(images) == len(self.wanted):
            return self
        return replace(self.reading(self.call.args[0][images]), wanted=self.wanted[images])
