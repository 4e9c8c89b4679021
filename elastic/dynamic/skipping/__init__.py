"""Skipping: compute the conditional part of a convolution only where a gate is open."""

from elastic.dynamic.skipping.adding import add_open as add_open
from elastic.dynamic.skipping.adding import added as added
from elastic.dynamic.skipping.choosing import Choice as Choice
from elastic.dynamic.skipping.choosing import as_data as as_data
from elastic.dynamic.skipping.choosing import choice_for as choice_for
from elastic.dynamic.skipping.choosing import choices_of as choices_of
from elastic.dynamic.skipping.choosing import choose as choose
from elastic.dynamic.skipping.choosing import known_choice as known_choice
from elastic.dynamic.skipping.conditional import Conditional as Conditional
from elastic.dynamic.skipping.conditional import conditional as conditional
from elastic.dynamic.skipping.conditional import conditional_of as conditional_of
from elastic.dynamic.skipping.ways import WAYS as WAYS
