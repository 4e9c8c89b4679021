"""A picture of a network: its layers in forward order, how wide they are, what leaves together and what never does."""

from elastic.drawing.sheet import draw

__all__ = ["draw"]
