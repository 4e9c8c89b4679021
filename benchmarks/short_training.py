"""What benchmarks that train have in common: their options, and the recipe of a short training with a teacher."""

import argparse
from pathlib import Path

from elastic.recipes import Recipe


def add_options(parser: argparse.ArgumentParser, folder: str, *, precision: str = "float32") -> None:
    """Add where and how a benchmark trains, with these defaults."""
    parser.add_argument("--precision", default=precision)
    parser.add_argument("--average", type=float, help="decay at each step of a moving average of the weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(folder), help="for records and what is unfinished")
    parser.add_argument("--table", type=Path, help="write the records as Markdown, and run nothing")


def recipe_of(asked: argparse.Namespace, epochs: int, seed: int) -> Recipe:
    """Return the recipe of a network that was trained before, at the learning rate that was asked for."""
    return Recipe(
        epochs=epochs, learning_rate=asked.learning_rate, schedule="cosine", warm_up=0.05, label_smoothing=0.0,
        distil=0.9, average=asked.average, precision=asked.precision, seed=seed,
    )  # fmt: skip
