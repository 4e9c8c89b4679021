"""Score: one number for every unit of a plan, by the name of a criterion or by the user's own function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from elastic.errors import DataError, InvalidWeights, PlanMismatch, UnknownName
from elastic.importance.activation import Activation
from elastic.importance.batches import Batches, Loss, cross_entropy
from elastic.importance.energy import Energy
from elastic.importance.fpgm import Fpgm
from elastic.importance.gates import Gates
from elastic.importance.gauss_newton import GaussNewton
from elastic.importance.hutchinson import Hutchinson
from elastic.importance.informing import warn_if_all_equal
from elastic.importance.lamp import Lamp
from elastic.importance.magnitude import Magnitude
from elastic.importance.norm_scale import NormScale
from elastic.importance.obd import Obd
from elastic.importance.random import Random
from elastic.importance.reduction import Reduction
from elastic.importance.seam import Criterion, Scores
from elastic.importance.taylor import Taylor, TaylorSigned
from elastic.plain import check_plain
from elastic.plan import Plan
from elastic.precision import computable

Curvature = Literal["obd", "hutchinson", "gauss-newton"]


@dataclass(frozen=True, eq=False)
class Options:
    """What a criterion may be made of; each takes what it needs."""

    seed: int
    data: Batches
    loss: Loss
    reduction: Reduction
    hessian: Curvature
    gates: Tensor | Scores


HESSIANS: Mapping[str, Callable[[Options], Criterion]] = {
    "obd": lambda o: Obd(o.data, o.loss, o.reduction),
    "hutchinson": lambda o: Hutchinson(o.data, o.loss, seed=o.seed, reduction=o.reduction),
    "gauss-newton": lambda o: GaussNewton(o.data, seed=o.seed, reduction=o.reduction),
}
CRITERIA: Mapping[str, Callable[[Options], Criterion]] = {
    "magnitude": lambda o: Magnitude(2, o.reduction),
    "magnitude-l1": lambda o: Magnitude(1, o.reduction),
    "norm-scale": lambda o: NormScale(o.reduction),
    "lamp": lambda o: Lamp(o.reduction),
    "fpgm": lambda o: Fpgm(o.reduction),
    "activation": lambda o: Activation(o.data, reduction=o.reduction),
    "energy": lambda o: Energy(o.data, o.reduction),
    "taylor": lambda o: Taylor(o.data, o.loss, o.reduction),
    "taylor-signed": lambda o: TaylorSigned(o.data, o.loss, o.reduction),
    "hessian": lambda o: HESSIANS[o.hessian](o),
    "gates": lambda o: Gates(o.gates),
    "random": lambda o: Random(o.seed),
}
NEED_DATA = ("activation", "energy", "taylor", "taylor-signed", "hessian")


def score(
    model: nn.Module,
    plan: Plan,
    criterion: str | Criterion = "magnitude",
    *,
    seed: int = 0,
    data: Batches | None = None,
    loss: Loss = cross_entropy,
    reduction: Reduction = "sum",
    hessian: Curvature = "obd",
    gates: Tensor | Scores | None = None,
) -> Scores:
    """Return one score for each unit of the plan, float64 [units]; the larger, the more is lost with the unit.

    `criterion` is one of CRITERIA or any function (model, plan) -> scores, which takes no options. `data` are batches,
    (inputs, labels) or inputs, that can be gone through again and again; `loss` gives the mean over a batch's samples.
    `reduction` makes one number of a unit's elements: sum, mean, max. The model stays as it is.

    Warns with NoInformation if all units score the same, or if the labels have nothing to do with the predictions.
    Raises LiveNetwork for one of `elastic.load`, UnknownName for a name that nothing goes by, DataError for data or
    gates that are missing, InvalidWeights if a weight is not finite, PlanMismatch if the criterion doesn't return one
    finite score for each unit.
    """
    check_plain(model)
    _check_weights(model)
    name = criterion if isinstance(criterion, str) else getattr(criterion, "__name__", type(criterion).__name__)
    if isinstance(criterion, str):
        _check_name(criterion, reduction, hessian)
        options = Options(seed, _data(criterion, data), loss, reduction, hessian, _gates(criterion, gates))
        criterion = CRITERIA[criterion](options)
    scores = np.asarray(criterion(model if data is None else computable(model), plan), np.float64)
    if scores.shape != (plan.units,):
        raise PlanMismatch(f"{name} gave scores of shape {list(scores.shape)} for {plan.units} units")
    if not np.isfinite(scores).all():
        raise PlanMismatch(f"{name} gave scores that are not finite: {(~np.isfinite(scores)).sum()} of {plan.units}")
    warn_if_all_equal(scores, name)
    return scores


def _check_weights(model: nn.Module) -> None:
    for name, tensor in model.named_parameters():
        if not tensor.detach().sum(dtype=torch.float64).isfinite():  # one pass; float64 can't overflow on float32
            raise InvalidWeights(f"{name} has values that are not finite; a network with such weights can't be ranked")


def _check_name(criterion: str, reduction: str, hessian: str) -> None:
    asked = {"criterion": (criterion, CRITERIA), "reduction": (reduction, get_args(Reduction))}
    for what, (name, known) in (asked | {"hessian": (hessian, HESSIANS)}).items():
        if name not in known:
            raise UnknownName(f"unknown {what} {name!r}; known: {', '.join(known)}")


def _data(criterion: str, data: Batches | None) -> Batches:
    if data is None and criterion in NEED_DATA:
        raise DataError(f"criterion {criterion!r} needs data; give batches of (inputs, labels), as in data=loader")
    return [] if data is None else data


def _gates(criterion: str, gates: Tensor | Scores | None) -> Tensor | Scores:
    if gates is None and criterion == "gates":
        raise DataError("criterion 'gates' needs gates; give one number for each unit, as in gates=tensor")
    return np.empty(0) if gates is None else gates
