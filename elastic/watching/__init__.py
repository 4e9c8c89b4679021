"""Watching a network run, function by function: its calls, its layers as matrix products, and where outputs go."""

from elastic.watching.calls import Call, Watch
from elastic.watching.sites import Site, find_sites

__all__ = ["Call", "Site", "Watch", "find_sites"]
