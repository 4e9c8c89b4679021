"""Gate weights: train a gate for each weight, make closed ones exact zeros, tune around them, cut what is left idle.

Self-pruning layers with what makes them real: gates that learn fast enough to close, zeros that are zeros, a tuning
that keeps them, neurons and channels that leave once nothing of them is needed. The price of hard-concrete gates is
after Louizos et al., ICLR 2018 (`elastic.gates.opening`).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from elastic.errors import InvalidRecipe
from elastic.gates.opening import Opening
from elastic.gates.weights.aim import Aim, Per
from elastic.gates.weights.closing import THRESHOLD
from elastic.gates.weights.finalising import finalise
from elastic.gates.weights.finishing import Measure, finish
from elastic.gates.weights.gated import EVERY, put_gates
from elastic.gates.weights.results import Histogram, SparseNetwork, Sparsity
from elastic.proofs import prove_cut
from elastic.recipes import Recipe
from elastic.tensors import take_dtypes
from elastic.tracing import Example, trace
from elastic.training import train

FILES = ("keep", "log")  # of a training, one for each phase
GATING, TUNING, CONTROL = "gates", "tune", "control"  # the phases


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
    `rate` times the recipe's learning rate, by default what suits its optimiser.

    `training` are options of `train`; the files `keep` and `log` become two, for the two trainings, with `gates` and
    `tune` before their suffixes. `measure` is given the network at the stages soft, hard, fine-tuned and cut, and what
    it returns is in the result. All other options are of `trace`.

    Raises InvalidRecipe for a patience (all epochs are needed), ProofFailed if the cut network is not the tuned one,
    and what `Aim`, `trace`, `put_gates` and `train` raise.
    """
    aim = Aim(strength, target, opening, threshold, rate, warm_up, ramp, per)
    if recipe.patience is not None:
        raise InvalidRecipe("patience ends a training early, and gates close until its last epoch; leave it out")
    measured: dict[str, float] = {}
    told = partial(_measure, measure, measured)
    working = copy.deepcopy(model).float()
    plan = trace(working, example, **of_trace)
    gated = put_gates(working, layers, opening)
    gates = {name: found for name, (_, found) in gated.items()}
    hook = aim.closing(gates, plan, recipe, len(dataset))  # type: ignore[arg-type]
    gating = train(working, dataset, recipe, teacher=teacher, hook=hook, **of_phase(training, GATING))
    told(working, "soft")
    histogram = Histogram.of(gates)
    masks = finalise(gated, target=target, threshold=threshold)
    told(working, "hard")
    done = finish(
        working, masks, plan, dataset, fine_tune, teacher=teacher, measure=told, training=of_phase(training, TUNING)
    )
    error = prove_cut(done.network, plan, done.levels, 0, example)
    settled = replace(aim, rate=hook.rate, strength=None)
    settings = {**asdict(settled), "strength": hook.strength, "layers": list(layers), "error": error}
    recipes = {"training": recipe, **({} if fine_tune is None else {"tuning": fine_tune})}
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
        measured=measured,
        recipe={"gated": settings | {name: each.model_dump(mode="json") for name, each in recipes.items()}},
    )


def of_phase(training: Mapping[str, Any] | None, phase: str) -> dict[str, Any]:
    """Return options of `train` for one phase, its files under names of their own: `net.gates.training`."""
    options = dict(training or {})
    for name in FILES:
        if options.get(name) is not None:
            path = Path(options[name])
            options[name] = path.with_name(f"{path.stem}.{phase}{path.suffix}")
    return options


def _measure(measure: Measure | None, measured: dict[str, float], network: nn.Module, stage: str) -> None:
    """Change what was measured to hold this stage too."""
    found = None if measure is None else measure(network, stage)
    if found is not None:
        measured[stage] = found
