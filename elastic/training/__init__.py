"""Training: one loop for all that learns from labels or from another network."""

from elastic.recipes import Recipe, recipe_of
from elastic.training.hooks import Hook
from elastic.training.loop import train
from elastic.training.optimising import norm_parameters
from elastic.training.processes import is_main, leave_processes, main_first, wait_for_all
from elastic.training.records import Epoch, Moment
from elastic.training.several import numbered, one_of_several

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
    "one_of_several",
    "recipe_of",
    "train",
    "wait_for_all",
]
