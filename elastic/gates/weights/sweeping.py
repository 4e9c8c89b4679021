"""Sweeping: gates at several lambdas, or to several sparsities, each beside magnitude pruning to the same sparsity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from elastic.errors import UnknownName
from elastic.gates.weights.finalising import magnitude_pruned
from elastic.gates.weights.finishing import finish
from elastic.gates.weights.gated import EVERY
from elastic.gates.weights.gating import CONTROL, gate_weights, of_phase
from elastic.gates.weights.results import SparseNetwork
from elastic.recipes import Recipe
from elastic.tracing import Example
from elastic.training import Epoch, Moment, one_of_several

LAMBDAS = (1e-5, 5e-5, 1e-4)  # as published


@dataclass(frozen=True, eq=False)
class Outcome:
    """What gates came to by one lambda or target, and its control."""

    name: str
    found: SparseNetwork
    control: Mapping[str, float]  # accuracy of magnitude pruning to the same sparsity: hard, fine-tuned, cut


def sweep(
    model: nn.Module,
    example: Example,
    dataset: Dataset[Any],
    recipe: Recipe,
    *,
    strengths: Sequence[float] = (),
    targets: Sequence[float] = (),
    layers: Sequence[str] = EVERY,
    fine_tune: Recipe | None = None,
    teacher: nn.Module | None = None,
    measure: Callable[[nn.Module], float],
    control: bool = True,
    keep: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[str, Moment], None] | None = None,
    report: Callable[[str, Epoch], None] | None = None,
    training: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Outcome, ...]:
    """Return what `gate_weights` makes of the model for each lambda and each target; the published lambdas if none is.

    `measure` gives the accuracy of a network in percent. With `control` the model is pruned by magnitude to each
    sparsity too, and tuned by the same recipe, with as many epochs more as the gates' training took. `keep` and `log`
    are files as those of `gate_weights`, with the number of the aim in the name; `progress` and `report` are told its
    name; `training` are other options of `train`.

    Raises UnknownName for an aim that is given twice, and what `gate_weights` raises.
    """
    if not (strengths or targets):
        strengths = LAMBDAS
    aims: list[tuple[str, dict[str, Any]]] = [(f"lambda={each:g}", {"strength": each}) for each in strengths]
    aims += [(f"zeros={each:.4g}", {"target": each}) for each in targets]
    names = [name for name, _ in aims]
    if len(set(names)) < len(names):
        raise UnknownName(f"{', '.join(names)} asks for the same twice; say each once")
    found = []
    for number, (name, aim) in enumerate(aims):
        how = one_of_several(name, number, keep=keep, log=log, progress=progress, report=report, **(training or {}))
        made = gate_weights(
            model, example, dataset, recipe, layers=layers, fine_tune=fine_tune, teacher=teacher, training=how,
            measure=lambda network, stage: measure(network), **aim, **options,
        )  # fmt: skip
        top1: dict[str, float] = {}
        if control:
            top1 = _control(model, made, dataset, recipe, fine_tune, layers, teacher, measure, how)
        found.append(Outcome(name, made, top1))
    return tuple(found)


def _control(
    model: nn.Module,
    made: SparseNetwork,
    dataset: Dataset[Any],
    recipe: Recipe,
    fine_tune: Recipe | None,
    layers: Sequence[str],
    teacher: nn.Module | None,
    measure: Callable[[nn.Module], float],
    training: Mapping[str, Any],
) -> dict[str, float]:
    network, masks = magnitude_pruned(model, layers, sparsity=made.sparsity.overall)
    found = {"hard": measure(network)}

    def told(network: nn.Module, stage: str) -> None:
        found[stage] = measure(network)

    more = None if fine_tune is None else fine_tune.model_copy(update={"epochs": recipe.epochs + fine_tune.epochs})
    finish(
        network.float(), masks, made.plan, dataset, more, teacher=teacher, measure=told,
        training=of_phase(training, CONTROL),
    )  # fmt: skip
    return found
