"""Prune: trace, score, allocate and cut in one verb, for when the defaults will do."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elastic.allocation import Normalisation, Scope, allocate, smallest_first
from elastic.checkpoint import level_names, save
from elastic.costs import Cost, CostModel
from elastic.cutting import cut
from elastic.errors import DataError
from elastic.fitting import fitted
from elastic.importance import Batches, Criterion, Curvature, Reduction, Scores, score
from elastic.importance.batches import batches
from elastic.plan import LevelArray, Plan
from elastic.recovery import Progress, repair
from elastic.targets import Quantity, Target, parse_target
from elastic.tracing import Example, trace
from elastic.tracing.tracer import DEFAULT


@dataclass(frozen=True, eq=False)
class Pruned:
    """A network and its smaller levels, 0 the smallest; the last is the network itself, untouched."""

    whole: nn.Module
    plan: Plan
    scores: Scores
    levels: LevelArray  # [units], the level at which each unit first exists
    targets: tuple[Target, ...]  # smallest first, one for each level but the last
    recipe: dict[str, Any] = field(default_factory=dict)
    tuned: Mapping[int, nn.Module] = field(default_factory=dict)  # smaller levels that changed since the cut

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the levels, smallest first."""
        return level_names(self.plan, self.levels, self.targets)

    @cached_property
    def model(self) -> nn.Module:
        """The smallest level, a network of its own."""
        return self.level(0)

    def level(self, level: int) -> nn.Module:
        """Return the network of a level, a new one that shares no weights."""
        if level in self.tuned:
            return copy.deepcopy(self.tuned[level])
        return fitted(
            self.whole,
            cut(self.whole.state_dict(), self.plan, self.levels, level),
            self.plan.sizes(self.levels, level),
        )

    def recovered(self, inputs: Tensor, *, progress: Progress | None = None, **options: Any) -> "Pruned":
        """Return the same with its smaller levels repaired on inputs [N, ..] without labels; options as of `repair`.

        What the repair changes is private to a level: the network itself is regrown bit for bit all the same.
        """
        tuned = {level: self.level(level) for level in range(len(self.targets))}
        used = len(inputs)
        for level, network in tuned.items():
            done = repair(
                network, self.whole, self.plan, self.levels, inputs, level=level, progress=progress, **options
            )
            used = min(used, done.images)  # fewer where more don't fit in memory
        return replace(self, tuned=tuned, recipe={**self.recipe, "recovered_on": used})

    def cost(self, level: int = 0) -> Cost:
        """Return what a level costs."""
        return CostModel(self.plan).cost(self.levels <= level)

    def save(self, path: str | Path, **options: Any) -> None:
        """Write all levels into one elastic file; options as of `elastic.save`, `tuned` among them."""
        options.setdefault("recipe", self.recipe)
        options.setdefault("tuned", {level: network.state_dict() for level, network in self.tuned.items()})
        save(path, self.whole, self.plan, self.levels, scores=self.scores, names=self.names, **options)


def prune(
    model: nn.Module,
    example: Example,
    *,
    target: str | Target | Sequence[str | Target],
    criterion: str | Criterion = "magnitude",
    normalisation: Normalisation = "mean",
    scope: Scope | Mapping[str, float] = "global",
    per: Quantity | None = None,
    keep_at_least: float = 1,
    round_to: int = 1,
    freeze: Sequence[str] = (),
    engine: str = DEFAULT,
    seed: int = 0,
    reduction: Reduction = "sum",
    hessian: Curvature = "obd",
    data: Batches | None = None,
    recover: bool = False,
) -> Pruned:
    """Return the model cut to each target; the model itself stays as it is.

    `target`: `macs=50%`, `params=1.2M`, `size=3MB`, several limits with commas, several levels as a list.
    `normalisation`, `scope`, `per` and the bounds are as in `allocate`, `freeze` and `engine` as in `trace`,
    `reduction` and `hessian` as in `score`. `data` are batches of inputs, or of inputs and labels, that can be gone
    through again: for criteria that need them, and with `recover` for `repair`, which looks at no label.

    Raises what `trace`, `score`, `allocate` and `repair` raise, DataError if there is nothing to recover on.
    """
    if recover and data is None:
        raise DataError("recover=True needs data: batches of inputs, labels or not; a few hundred images will do")
    wanted = [target] if isinstance(target, str | Target) else list(target)
    targets = tuple(parse_target(t) if isinstance(t, str) else t for t in wanted)
    plan = trace(model, example, freeze=freeze, engine=engine)
    scores = score(model, plan, criterion, seed=seed, data=data, reduction=reduction, hessian=hessian)
    options: Any = {
        "normalisation": normalisation,
        "scope": dict(scope) if isinstance(scope, Mapping) else scope,
        "per": per,
        "keep_at_least": keep_at_least,
        "round_to": round_to,
    }
    targets = smallest_first(plan, scores, targets, **options)
    levels = allocate(plan, scores, target=targets, **options)
    recipe = {
        "criterion": criterion if isinstance(criterion, str) else type(criterion).__name__,
        "reduction": reduction,
        "targets": [str(t) for t in targets],
        **options,
        "freeze": list(freeze),
        "engine": engine,
        "seed": seed,
    }
    pruned = Pruned(model, plan, scores, np.asarray(levels), targets, recipe)
    return pruned.recovered(inputs_of(data, model), seed=seed) if recover and data is not None else pruned


def inputs_of(data: Batches, model: nn.Module) -> Tensor:
    """Return all inputs of batches as one tensor, [N, ..], on the device of the model.

    Raises DataError if an input isn't one tensor, if there is none, or if data can be gone through only once.
    """
    parts = [batch.inputs for batch in batches(data, model)]
    if not all(isinstance(part, Tensor) for part in parts):
        raise DataError("a repair takes batches of one tensor each, with labels or without; these have several inputs")
    return torch.cat(parts)
