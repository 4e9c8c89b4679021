"""Images by name, prepared as their network wants them, and what a network makes of them."""

from elastic.data.augmenting import augment
from elastic.data.batching import divided, images_loader
from elastic.data.evaluating import Metrics, evaluate
from elastic.data.loading import load
from elastic.data.preprocessing import Preprocessing

__all__ = ["Metrics", "Preprocessing", "augment", "divided", "evaluate", "images_loader", "load"]
