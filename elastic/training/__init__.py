"""Training: one loop for all that learns from labels or from another network."""

from elastic.recipes import Recipe, recipe_of
from elastic.training.hooks import Hook
from elastic.training.keeping import numbered
from elastic.training.loop import train
from elastic.training.optimising import norm_parameters
from elastic.training.processes import is_main, leave_processes, main_first, wait_for_all
from elastic.training.records import Epoch, Moment

__all__ = [
    "Epoch",
    "Hook",
    "Moment",
    "Recipe",
    "is_main",
    "leave_processes",
    "main_first",
    "norm_parameters",
    "numbered",
    "recipe_of",
    "train",
    "wait_for_all",
]
