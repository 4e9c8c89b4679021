"""Results: a sparse network, how it came to be, and the file of it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from elastic.checkpoint import WHOLE
from elastic.gates.opening import Gates
from elastic.importance import score
from elastic.plan import LevelArray, Plan
from elastic.pruning import Pruned
from elastic.training import Epoch

BINS = 50


@dataclass(frozen=True)
class Sparsity:
    """The share of zeros among the weights of each layer, and of all of them."""

    overall: float
    layers: Mapping[str, float]  # by the name of the weight
    zeros: int
    weights: int

    @classmethod
    def of(cls, network: nn.Module, names: Sequence[str]) -> "Sparsity":
        """Count the zeros in some of a network's weights."""
        weights = {name: network.get_parameter(name) for name in names}
        zeros = {name: int((weight == 0).sum()) for name, weight in weights.items()}
        sizes = {name: weight.numel() for name, weight in weights.items()}
        total = sum(sizes.values())
        layers = {name: zeros[name] / sizes[name] for name in names}
        return cls(sum(zeros.values()) / total, layers, sum(zeros.values()), total)


@dataclass(frozen=True)
class Histogram:
    """How far gates were open at the end of their training: the edges of bins from 0 to 1, and how many are in each."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    @torch.no_grad()
    def of(cls, gates: Mapping[str, Gates]) -> "Histogram":
        """Count gates without noise."""
        opened = torch.cat([each.soft().flatten() for each in gates.values()]).cpu().numpy()
        counts, edges = np.histogram(opened, BINS, (0.0, 1.0))
        return cls(tuple(edges.tolist()), tuple(counts.tolist()))


@dataclass(frozen=True, eq=False)
class SparseNetwork:
    """A network with exact zeros among its weights, `cut` where units were left idle, and what was told of it."""

    whole: nn.Module  # as it was given
    plan: Plan
    levels: LevelArray  # [units], 1 for those that were cut
    network: nn.Module  # of the whole's shapes
    cut: nn.Module
    sparsity: Sparsity  # of the network, among the weights that had gates
    histogram: Histogram
    gating: tuple[Epoch, ...]
    tuning: tuple[Epoch, ...]
    measured: Mapping[str, float]  # by stage: soft, hard, fine-tuned, cut
    recipe: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, str]:
        """The names of the two levels of its file."""
        return f"zeros={self.sparsity.overall:.1%}", WHOLE

    @cached_property
    def pruned(self) -> Pruned:
        """The whole network with the cut one as its smaller level; units are ranked by the magnitudes that are left."""
        scores = score(self.network, self.plan, "magnitude")
        tuned = {0: copy.deepcopy(self.cut)}
        return Pruned(self.whole, self.plan, scores, self.levels, (), dict(self.recipe), tuned)

    def save(self, path: str | Path, **options: Any) -> None:
        """Write both levels into one elastic file; options as of `elastic.save`."""
        metrics = {self.names[0]: {"sparsity": self.sparsity.overall, **self.measured}}
        self.pruned.save(path, **{"names": self.names, "metrics": metrics, **options})
