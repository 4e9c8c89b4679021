"""A corpus of small networks, each a way of connecting layers that pruning has got wrong somewhere."""

from tests.wirings import asking, attending, basics, gating, interfaces, keeping, norming, reshaping, sharing, splitting
from tests.wirings.registry import WIRINGS

THEMES = (asking, attending, basics, gating, interfaces, keeping, norming, reshaping, sharing, splitting)

__all__ = ["THEMES", "WIRINGS"]
