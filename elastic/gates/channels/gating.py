"""Gate channels: learn which ones stay beside the weights, at the price of what they cost; then cut, and tune.

Gates of sigmoids whose temperature falls were published as latency-aware gates, with the mean gate for a price and no
cut; here the price is the plan's own count, or a table of times, and a controller brings it to the target.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import scipy.special
import torch
from torch import nn
from torch.utils.data import Dataset

from elastic.data import images_loader
from elastic.errors import InvalidRecipe
from elastic.gates.channels.aims import aims_of
from elastic.gates.channels.beginning import places_in, places_of
from elastic.gates.channels.finishing import BATCH, Measure, judge_of
from elastic.gates.channels.gated import Gated
from elastic.gates.channels.latency import LatencyTable
from elastic.gates.channels.levelling import closing_stages, levelled
from elastic.gates.channels.stages import Stage, Stages
from elastic.gates.opening import Gates
from elastic.gating import NONE, Gating
from elastic.precision import computable
from elastic.pruning import Pruned
from elastic.recipes import Recipe
from elastic.tracing import Example, trace
from elastic.tracing.tracer import DEFAULT
from elastic.training import Epoch, Moment, one_of_several

CALIBRATION = 512  # images to recover on


def gate_channels(
    model: nn.Module,
    example: Example,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    target: str | Sequence[str] = (),
    strength: Sequence[float] = (),
    price: str = "macs",
    table: LatencyTable | None = None,
    gating: Gating | None = None,
    fine_tune: Recipe | None = None,
    gate_images: Dataset[Any] | None = None,
    validation: Dataset[Any] | None = None,
    calibration: int = CALIBRATION,
    recover: bool = True,
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
    """Return the model cut to what gates have learned for each target or strength, and what each came to.

    A copy of the model is trained with one gate for each unit of its plan, of which the model is the teacher. Targets,
    such as `macs=60%` or, with a `table`, `latency=60%`, and strengths of a `price` ("macs", "params", "size") are gone
    through from the largest network to the smallest: what one closes stays closed, so levels are nested. Each is then
    cut, recovered on so many images for `calibration`, without their labels (`recovering.py`), and trained by
    `fine_tune` where that is given. The largest level of the result is the model itself, bit for bit; a strength that
    closes no gate makes no level.

    Gates are learned on `gate_images` where these are given, all else on the data set. `validation` images, not to be
    trained on, are judged after each epoch, soft and hard; `measure` gives the accuracy of a network for the stages.
    `keep` and `log` are files as those of `train`, one for each training, whose number is in the name; `progress` and
    `report` are told the training's name too; `training` are other options of `train`.

    Raises UnknownName if neither targets nor strengths are given, or both; TargetError for a target of several limits,
    or one that can't be reached; InvalidRecipe for a patience, and if no strength closes a gate; what `trace`, `train`
    and `LatencyPrice` raise.
    """
    recipe, gating = recipe or Recipe(), gating or Gating()
    for each in (recipe, fine_tune):
        if each is not None and each.patience is not None:
            raise InvalidRecipe("patience ends a training early, and gates need all of its epochs; leave it out")
    plan = trace(model, example, freeze=freeze, engine=engine)
    bounds = {"keep_at_least": keep_at_least, "round_to": round_to}
    price_of, aims = aims_of(plan, [target] if isinstance(target, str) else target, strength, price, table, bounds)
    gates = Gates(plan.units, gating.opening)
    seen = list(images_loader(dataset, BATCH, limit=calibration, seed=recipe.seed))
    nn.init.constant_(gates.logits, gating.begin)
    places = None
    if gating.prior != NONE:
        places = places_of(gating.prior, computable(model), plan, price_of.quantity, seen, bounds)
    gated = Gated(copy.deepcopy(computable(model)), plan, gates, draws=gating.draws)
    numbers = iter(range(2 * len(aims)))

    def options(name: str) -> dict[str, Any]:
        how = {"keep": keep, "log": log, "progress": progress, "report": report}
        return one_of_several(name, next(numbers), **how, **training)  # type: ignore[arg-type]

    stages = Stages(
        computable(model), plan, gate_images or dataset, dataset, recipe, gating, fine_tune, price_of, bounds,
        torch.cat([images for images, _ in seen]) if recover else None,
        judge_of(validation), measure, options,
    )  # fmt: skip
    found: list[Stage] = []
    for number, aim in enumerate(aims):
        found.append(stages.run(gated, aim, number, places))
        places = None if places is None else places_in(found[-1].logits.argsort(kind="stable"))
    closing = closing_stages(found)
    made = {
        "gates": {
            "aims": {stage.aim.name: dict(stage.costs) for stage in found},
            "price": price_of.quantity,
            "settings": gating.model_dump(mode="json"),
            "training": recipe.model_dump(mode="json"),
            "fine_tune": None if fine_tune is None else fine_tune.model_dump(mode="json"),
        },
        **bounds,
        "freeze": list(freeze),
        "engine": engine,
    }
    targets = [aim.target for aim in reversed(aims) if aim.target is not None]
    open_by = [scipy.special.expit(stage.logits) for stage in closing]
    return levelled(model, plan, closing, open_by, targets, made), tuple(found)
