"""Gate weights: train a gate for each weight, make closed ones exact zeros, tune around them, cut what is left idle.

Self-pruning layers with what makes them real: gates that learn fast enough to close, zeros that are zeros, a tuning
that keeps them, neurons and channels that leave once nothing of them is needed. The price of L0 norms is after Louizos
et al., ICLR 2018 (`elastic.gates.opening`).
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import nn
from torch.utils.data import Dataset

from elastic.errors import InvalidRecipe, UnknownName
from elastic.gates.opening import Gates, Opening
from elastic.gates.steering import Steering
from elastic.gates.weights.closing import RATES, THRESHOLD, Closing
from elastic.gates.weights.finalising import check_share, finalise
from elastic.gates.weights.finishing import Measure, finish
from elastic.gates.weights.gated import EVERY, put_gates
from elastic.gates.weights.results import Histogram, SparseNetwork, Sparsity
from elastic.plan import Plan
from elastic.recipes import Recipe
from elastic.tensors import take_dtypes
from elastic.tracing import Example, trace
from elastic.training import train
from elastic.training.order import Order

Per = Literal["params", "macs"]
STRENGTH = 1e-5  # lambda, the least of those that were published
FILES = ("keep", "log")  # of a training, one for each phase
GATING, TUNING = "gates", "tune"  # the phases


def gate_weights(
    model: nn.Module,
    example: Example,
    dataset: Dataset[Any],
    recipe: Recipe,
    *,
    layers: Sequence[str] = EVERY,
    strength: float | None = None,
    target: float | None = None,
    opening: Opening = "sigmoid",
    threshold: float = THRESHOLD,
    rate: float | None = None,
    warm_up: float = 0.1,
    ramp: float = 0.5,
    per: Per = "params",
    fine_tune: Recipe | None = None,
    teacher: nn.Module | None = None,
    measure: Measure | None = None,
    training: Mapping[str, Any] | None = None,
    **of_trace: Any,
) -> SparseNetwork:
    """Return what gates make of a copy of the model: sparse, tuned by the recipe `fine_tune`, and cut.

    `layers` are patterns of the names of linear layers and convolutions. A step adds lambda (`strength`) times the sum
    of all gates to the loss, 1e-5 if None, after a warm-up of so large a share of the steps; with `per` "macs" a gate
    pays by how often its weight is used, 1 in the mean. With a `target`, a share of the weights, lambda is steered from
    0, so that as many gates are closed at the end, more and more in the first `ramp` of the steps, and so many weights
    become zero, the smallest gates'. Otherwise it is those whose gate is less open than the threshold. Gates have
    `rate` times the recipe's learning rate.

    `training` are options of `train`; the files `keep` and `log` become two, for the two trainings, with `gates` and
    `tune` before their suffixes. `measure` is given the network at the stages soft, hard, fine-tuned and cut, and what
    it returns is in the result. All other options are of `trace`.

    Raises TargetError for a target that is no share, UnknownName for another price, InvalidRecipe for a patience (all
    epochs are needed) and for a strength beside a target, and what `trace`, `put_gates` and `train` raise.
    """
    if target is not None:
        check_share(target)
    if target is not None and strength is not None:
        raise InvalidRecipe(f"a target of {target:g} finds its strength, but {strength:g} was given; leave one out")
    if recipe.patience is not None:
        raise InvalidRecipe("patience ends a training early, and gates close until its last epoch; leave it out")
    told: dict[str, float] = {}

    def measured(network: nn.Module, stage: str) -> None:
        found = None if measure is None else measure(network, stage)
        if found is not None:
            told[stage] = found

    working = copy.deepcopy(model).float()
    plan = trace(working, example, **of_trace)
    gated = put_gates(working, layers, opening)
    gates = {name: found for name, (_, found) in gated.items()}
    steps = recipe.epochs * Order(len(dataset), recipe.batch, recipe.seed).steps  # type: ignore[arg-type]
    count = sum(each.logits.numel() for each in gates.values())
    paid = None if target is None else 1 - target
    start = STRENGTH if strength is None else strength
    steering = Steering(steps, start * count if paid is None else 0.0, paid, warm_up=warm_up, ramp=ramp)
    faster = RATES[recipe.optimiser] if rate is None else rate
    hook = Closing(gates, prices(plan, gates, per), steering, threshold, faster)
    gating = train(working, dataset, recipe, teacher=teacher, hook=hook, **of_phase(training, GATING))
    measured(working, "soft")
    histogram = Histogram.of(gates)
    masks = finalise(gated, target=target, threshold=threshold)
    measured(working, "hard")
    done = finish(
        working, masks, plan, dataset, fine_tune, teacher=teacher, measure=measured,
        training=of_phase(training, TUNING),
    )  # fmt: skip
    told_of = {
        "layers": list(layers), "opening": opening, "per": per, "threshold": threshold, "rate": faster,
        "strength": hook.strength, "target": target, "warm_up": warm_up, "ramp": ramp,
        "training": recipe.model_dump(mode="json"),
        "tuning": None if fine_tune is None else fine_tune.model_dump(mode="json"),
    }  # fmt: skip
    return SparseNetwork(
        whole=model,
        plan=plan,
        levels=done.levels,
        network=take_dtypes(done.network, model.state_dict()),
        cut=take_dtypes(done.cut, model.state_dict()),
        sparsity=Sparsity.of(done.network, list(masks)),
        histogram=histogram,
        gating=gating,
        tuning=done.epochs,
        measured=told,
        recipe={"gated": told_of},
    )


def prices(plan: Plan, gates: Mapping[str, Gates], per: Per) -> dict[str, float]:
    """Return what a gate of each weight pays, 1 in the mean over all gates.

    Raises UnknownName for a price that is neither `params` nor `macs`.
    """
    if per not in ("params", "macs"):
        raise UnknownName(f"unknown price {per!r}; known: params, macs")
    if per == "params":
        return dict.fromkeys(gates, 1.0)
    used = {name: float(sum(o.macs for o in plan.operations if o.weight == name)) for name in gates}
    sizes = {name: each.logits.numel() for name, each in gates.items()}
    total = sum(used[name] * size for name, size in sizes.items())
    return {name: used[name] * sum(sizes.values()) / total for name in gates}


def of_phase(training: Mapping[str, Any] | None, phase: str) -> dict[str, Any]:
    """Return options of `train` for one phase, its files under names of their own: `net.gates.training`."""
    options = dict(training or {})
    for name in FILES:
        if options.get(name) is not None:
            path = Path(options[name])
            options[name] = path.with_name(f"{path.stem}.{phase}{path.suffix}")
    return options
