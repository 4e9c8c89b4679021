"""Nesting: one file that is several networks, each of which contains the smaller ones."""

from elastic.nesting.family import Measure as Measure
from elastic.nesting.nest import WAYS as WAYS
from elastic.nesting.nest import Way as Way
from elastic.nesting.nest import nest as nest
