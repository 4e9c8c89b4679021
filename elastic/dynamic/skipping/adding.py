"""Adding: the conditional part where gates are open, in the way that is the fastest here."""

from torch import Tensor

from elastic.dynamic.skipping.choosing import Choice
from elastic.dynamic.skipping.conditional import Conditional
from elastic.dynamic.skipping.masks import check
from elastic.dynamic.skipping.ways import DENSE, WAYS


def add_open(part: Conditional, inputs: Tensor, mask: Tensor, base: Tensor, choice: Choice | None = None) -> Tensor:
    """Change base [n, out, oh, ow] to base + conditional part where the mask is open, and return it.

    Inputs are [n, c, h, w], with all channels of the layer's input. The mask is bool: [n, oh, ow], [n, blocks, oh, ow]
    with blocks of consecutive output channels, [n, out], or [n, out, oh, ow]. Without a choice (`choose`) all is
    computed, and masked. Inputs and base with channels last in memory save copies. Not for training.

    Raises MaskMismatch for what does not fit.
    """
    check(part, inputs, mask, base)
    way = DENSE if choice is None else choice.way(mask, part.outputs)
    return WAYS[way].add(part, inputs, mask, base)


def added(part: Conditional, inputs: Tensor, mask: Tensor, base: Tensor, choice: Choice | None = None) -> Tensor:
    """Return what `add_open` makes of a copy of the base."""
    return add_open(part, inputs, mask, base.clone(), choice)
