"""Training: one loop for all that learns from labels or from another network."""

from elastic.recipes import Recipe, recipe_of
from elastic.training.loop import is_main, train
from elastic.training.optimising import norm_parameters
from elastic.training.records import Epoch, Moment

__all__ = ["Epoch", "Moment", "Recipe", "is_main", "norm_parameters", "recipe_of", "train"]
