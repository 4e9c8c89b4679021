"""Prune by attention: learn by turns what to attend to and the weights; then cut, recover, and tune.

Attention to filters, an elastic net that closes it and alternating epochs were published for networks that are
quantised too: with attention before norms, which undo it, closed filters that came back, and test images that said when
to go on. Here attention stands where channels are read, begins by importance, and is closed for good by a proximal
step.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from elastic.alternating import Alternation
from elastic.attending.attended import Attended, Attention
from elastic.attending.beginning import first_values
from elastic.attending.leaving import Leaving
from elastic.attending.rounds import Rounds, Trainings
from elastic.attending.stages import Stage, Stages, made_by
from elastic.data import images_loader
from elastic.errors import InvalidRecipe
from elastic.gates.channels.aims import aims_of
from elastic.gates.channels.finishing import BATCH, Measure, judge_of
from elastic.gates.channels.levelling import levelled
from elastic.precision import computable
from elastic.pruning import Pruned
from elastic.quantise import Ranges, WeightSteps
from elastic.quantise.quantising import Rounding
from elastic.recipes import Recipe
from elastic.tracing import Example, trace
from elastic.tracing.tracer import DEFAULT
from elastic.training import Epoch, Moment, one_of_several

CALIBRATION = 512  # images for scores and the repair


def prune_by_attention(
    model: nn.Module,
    example: Example,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    target: str | Sequence[str] = (),
    price: str = "macs",
    alternation: Alternation | None = None,
    fine_tune: Recipe | None = None,
    validation: Dataset[Any] | None = None,
    calibration: int = CALIBRATION,
    recover: bool = True,
    bits: str | Sequence[str] = (),
    weights: WeightSteps = "max",
    ranges: Ranges = "learned",
    measure: Measure | None = None,
    keep_at_least: float = 1,
    round_to: int = 1,
    freeze: Sequence[str] = (),
    engine: str = DEFAULT,
    keep: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[str, Moment], None] | None = None,
    report: Callable[[str, Epoch], None] | None = None,
    **training: Any,
) -> tuple[Pruned, tuple[Stage, ...]]:
    """Return the model cut to what attention has left for each target, and what each came to.

    A copy of the model has attention to each unit of its plan: in each round it is learned for an epoch, then the
    weights recover, for as many epochs as `alternation` says, fewer if accuracy on the `validation` images is back.
    These are not to be trained on; without any, all epochs are needed. The model is the teacher (`recipe.distil`).
    Targets such as `macs=60%` are gone through from the largest on, and what one closes stays closed, so levels are
    nested; without one there are all rounds, at a fixed strength, and costs are told as shares of the `price` ("macs",
    "params" or "size"). Each network is then settled exactly at its target, cut, recovered on so many images for
    `calibration` without their labels, and trained by `fine_tune` where that is given. The largest level is the model
    itself, bit for bit.

    With `bits` (and `weights`, `ranges`, as in `quantise`) the copy rounds from the start, and so do the networks that
    are cut of it. Each is made in further bits where several are given, of the one in the first, and tuned too: each
    width then has a level of every bits, in the order in which they were given, from the largest on.

    `measure` gives the accuracy of a network for the stages, and decides nothing. `keep`, `log`, `progress`, `report`
    and `training` are as in `gate_channels`: each phase of each round is a training with a number of its own.

    Raises TargetError for a target of several limits, or one that can't be reached; InvalidRecipe for a patience, and
    if nothing was closed; what `trace`, `score` and `train` raise.
    """
    recipe, alternation = recipe or Recipe(), alternation or Alternation()
    for each in (recipe, fine_tune):
        if each is not None and each.patience is not None:
            raise InvalidRecipe("patience ends a training early, and rounds have a rule of their own; leave it out")
    plan, whole = trace(model, example, freeze=freeze, engine=engine), computable(model)
    bounds = {"keep_at_least": keep_at_least, "round_to": round_to}
    targets = [target] if isinstance(target, str) else list(target)
    price_of, aims = aims_of(plan, targets, [] if targets else [alternation.elastic_net], price, None, bounds)
    seen = list(images_loader(dataset, BATCH, limit=calibration, seed=recipe.seed))
    values = first_values(alternation, whole, plan, price_of.quantity, seen, bounds, recipe.seed)
    asked = [bits] if isinstance(bits, str) else list(bits)
    roundings = [Rounding(each, weights, ranges) for each in asked]
    inputs = torch.cat([images for images, _ in seen])
    working = roundings[0].network(whole, torch.split(inputs, BATCH)) if roundings else copy.deepcopy(whole)
    attended = Attended(working, plan, Attention(values), before_norm=alternation.before_norm)
    if not alternation.before_norm:
        attended.balance(torch.ones_like(values))  # it begins as the network that it is of
    judge = judge_of(validation)
    leaving = None
    if judge is not None:
        now = judge(whole)
        leaving = Leaving(alternation.back_to, alternation.tolerance, best=now, before=now)

    def options(name: str, number: int) -> dict[str, Any]:
        return one_of_several(name, number, keep=keep, log=log, progress=progress, report=report, **training)

    trainings, first = Trainings(whole, options), roundings[0] if roundings else None
    rounds = Rounds(plan, dataset, recipe, alternation, price_of, bounds, judge, trainings, first)
    stages = Stages(whole, rounds, fine_tune, inputs, recover, measure, roundings[1:])
    found = tuple(stages.run(attended, aim, leaving) for aim in aims)
    closing = made_by(found)
    made = {
        "attention": {
            "aims": {stage.aim.name: dict(stage.costs) for stage in found},
            "price": price_of.quantity,
            "bits": asked,
            "settings": alternation.model_dump(mode="json"),
            "training": recipe.model_dump(mode="json"),
            "fine_tune": None if fine_tune is None else fine_tune.model_dump(mode="json"),
        },
        **bounds,
        "freeze": list(freeze),
        "engine": engine,
    }
    limits = [each.aim.target for each in reversed(closing) if each.aim.target is not None]
    lived = [each.lived for each in closing]
    return levelled(model, plan, closing, lived, limits, made, bits=[each.bits for each in closing]), found
