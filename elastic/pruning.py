"""Prune: trace, score, allocate and cut in one verb, for when the defaults will do."""

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from elastic.allocation import (
    Normalisation,
    Scope,
    allocate,
    allocate_by_curves,
    allocate_by_programme,
    smallest_first,
    smallest_first_by_curves,
)
from elastic.checkpoint import level_names, save
from elastic.costs import Cost, CostModel
from elastic.cutting import cut
from elastic.errors import DataError, UnknownName
from elastic.fitting import fitted
from elastic.importance import Batches, Criterion, Curvature, Reduction, Scores, score
from elastic.importance.batches import batches, joined
from elastic.latency.holding import Held
from elastic.latency.levels import held_levels, told_of
from elastic.latency.table import Table, read_table
from elastic.plan import LevelArray, Plan
from elastic.planned import scores_in
from elastic.precision import computable, dtype_of
from elastic.ranking import GATES, Per, Ranking, Solver
from elastic.recovery import ROUNDS, Progress, repair
from elastic.sensitivity import Curves, read_curves
from elastic.targets import Target, parse_target
from elastic.tensors import take_dtypes
from elastic.tracing import Example, trace
from elastic.tracing.tracer import DEFAULT

log = logging.getLogger(__name__)

ALLOCATE: dict[Solver, Callable[..., LevelArray]] = {"greedy": allocate, "milp": allocate_by_programme}
NOT_RECORDED = {"format", "version", "groups", "scores", "criterion"}  # of the header of curves


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
    bits: tuple[str, ...] = ()  # of smaller levels that are quantised networks, "" for others; smallest first
    held: tuple[Held | None, ...] = ()  # what was measured of smaller levels whose target is a time; smallest first

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the levels, smallest first; those of few bits end with them."""
        return level_names(self.plan, self.levels, self.targets, self.bits)

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
        whole = computable(self.whole)
        inputs = inputs.to(dtype_of(whole))
        for level, network in tuned.items():
            told = None if progress is None else partial(_of_all, progress, level, len(tuned))
            working = computable(network)
            repair(working, whole, self.plan, self.levels, inputs, level=level, progress=told, **options)
            tuned[level] = take_dtypes(working, network.state_dict())
        done: dict[str, Any] = {n: options[n] for n in ("strength", "positions") if n in options}
        done["rounds"] = options.get("rounds", ROUNDS)
        return replace(self, tuned=tuned, recipe={**self.recipe, "recovered_on": len(inputs), **done})

    def cost(self, level: int = 0) -> Cost:
        """Return what a level costs."""
        return CostModel(self.plan).cost(self.levels <= level)

    def save(self, path: str | Path, **options: Any) -> None:
        """Write all levels into one elastic file; options as of `elastic.save`, `tuned` among them."""
        options.setdefault("recipe", self.recipe)
        few = {level: self.tuned[level] for level, bits in enumerate(self.bits) if bits}
        floats = {level: network.state_dict() for level, network in self.tuned.items() if level not in few}
        options.setdefault("tuned", floats)
        options.setdefault("made", few)
        options.setdefault("names", self.names)
        save(path, self.whole, self.plan, self.levels, scores=self.scores, **options)


def prune(
    model: nn.Module,
    example: Example,
    *,
    target: str | Target | Sequence[str | Target],
    criterion: str | Criterion | None = None,
    normalisation: Normalisation | None = None,
    scope: Scope | Mapping[str, float] | None = None,
    per: Per | None = None,
    keep_at_least: float = 1,
    round_to: int = 1,
    freeze: Sequence[str] = (),
    engine: str = DEFAULT,
    seed: int = 0,
    reduction: Reduction | None = None,
    hessian: Curvature | None = None,
    gates: Tensor | Scores | str | Path | None = None,
    data: Batches | None = None,
    recover: bool | None = None,
    curves: Curves | str | Path | None = None,
    latency_table: Table | str | Path | None = None,
    solver: Solver | None = None,
    progress: Callable[[Sequence[Held | None]], None] | None = None,
) -> Pruned:
    """Return the model cut to each target; the model itself stays as it is.

    `target`: `macs=50%`, `params=1.2M`, `size=3MB`, `latency=8ms`, several limits with commas, several levels as a
    list.
    What ranks units is chosen to suit where it is not given (`ranking.py`): with data `energy`, by what each saves of
    what the target limits, otherwise `magnitude`. So is `solver`, which chooses widths: "milp", integer programmes, for
    a target of time where scores are losses and neither `scope` nor `per` asks for another order, otherwise "greedy",
    units that leave in one order. `normalisation`, `scope` and the bounds are as in `allocate`, `per` too, with "unit"
    for no cost; `freeze` and `engine` as in `trace`, `reduction` and `hessian` as in `score`.
    `data` are batches of inputs, or of inputs and labels, that can be gone through again: for criteria that need them,
    and for `repair`, which looks at no label. With data it is done unless `recover` is False.
    `gates` are the criterion "gates": one number for each unit, or a file of `gate_channels`, for the order in which
    its gates closed.
    `curves` are what `measure_curves` gave, or its file: widths are then those of `allocate_by_curves`, with the scores
    that were measured with, and all that ranks units is left out.
    With a target of time `progress` is told what was measured of each cut, level by level, until they hold.

    Raises what `trace`, `score`, `allocate`, `repair` raise, DataError if there is nothing to recover on, UnknownName
    for gates beside another criterion, PlanMismatch if their file is of another network; with curves what `read_curves`
    raises, CurvesMismatch if they are of another network or plan.
    """
    if recover and data is None:
        raise DataError("recover=True needs data: batches of inputs, labels or not; a few hundred images will do")
    wanted = [target] if isinstance(target, str | Target) else list(target)
    targets = tuple(parse_target(t) if isinstance(t, str) else t for t in wanted)
    if gates is not None and criterion not in (None, GATES):
        raise UnknownName(f"gates were given beside criterion={criterion!r}; leave one of them out")
    asked = Ranking(GATES if gates is not None else criterion, reduction, hessian, normalisation, scope, per, solver)
    bounds: Any = {"keep_at_least": keep_at_least, "round_to": round_to}
    measured = None if curves is None else _measured(curves, asked.given)
    ranking: Any = asked.settled(targets, has_data=data is not None)
    table = read_table(latency_table) if isinstance(latency_table, str | Path) else latency_table
    bounds |= {} if table is None else {"latency_table": table}
    plan = trace(model, example, freeze=freeze, engine=engine)
    if measured is not None:
        measured.check(model, plan)
        scores: Scores = measured.scores
        targets = smallest_first_by_curves(plan, measured.losses, scores, targets, **bounds)
        choose, uniform = partial(allocate_by_curves, plan, measured.losses, scores, **bounds, is_ordered=True), None
        order = {"criterion": measured.header.criterion, "curves": measured.header.model_dump(exclude=NOT_RECORDED)}
    else:
        learned = scores_in(gates, plan) if isinstance(gates, str | Path) else gates
        scores = score(
            model, plan, ranking.criterion, seed=seed, data=data, reduction=ranking.reduction,
            hessian=ranking.hessian, gates=learned,
        )  # fmt: skip
        targets = smallest_first(plan, scores, targets, **ranking.allocation, **bounds)
        choose = partial(ALLOCATE[ranking.solver], plan, scores, **ranking.allocation, **bounds, is_ordered=True)
        even = partial(allocate, plan, scores, scope="uniform", keep_at_least=keep_at_least, round_to=round_to)
        uniform = even if ranking.scope == "global" else None
        order = ranking.recipe
    levels, held = held_levels(model, example, plan, targets, choose, table, uniform=uniform, progress=progress)
    recipe = {
        **order,
        "targets": [str(t) for t in targets],
        "keep_at_least": keep_at_least,
        "round_to": round_to,
        **({} if table is None else {"latency": told_of(table, held)}),
        "freeze": list(freeze),
        "engine": engine,
        "seed": seed,
    }
    pruned = Pruned(model, plan, scores, np.asarray(levels), targets, recipe, held=held)
    if data is None or recover is False:
        return pruned
    try:
        inputs = inputs_of(data, model)
    except DataError as reason:
        if recover:
            raise
        log.warning("not repaired: %s", reason)
        return pruned
    return pruned.recovered(inputs, seed=seed)


def _measured(curves: Curves | str | Path, idle: Mapping[str, Any]) -> Curves:
    """Return the curves, read where a path is given, if no option is given that they make idle."""
    if idle:
        name, value = next(iter(idle.items()))
        raise UnknownName(
            f"{name}={value!r} means nothing with curves, which hold the order in which units leave and what is lost "
            "with them; leave it out, or leave out the curves"
        )
    return curves if isinstance(curves, Curves) else read_curves(curves)


def _of_all(progress: Progress, number: int, count: int, done: int, whole: int) -> None:
    """Tell what is done of one of several repairs as what is done of all."""
    progress(number * whole + done, count * whole)


def inputs_of(data: Batches, model: nn.Module) -> Tensor:
    """Return all inputs of batches as one tensor, [N, ..], on the device of the model.

    Raises DataError if an input isn't one tensor, if there is none, or if data can be gone through only once.
    """
    return joined(batches(data, model))
