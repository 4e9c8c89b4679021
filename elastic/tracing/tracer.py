"""Trace: from a model and an example input to a plan.

Labels come from a source behind one seam, (twin, example) -> Labels; costs come from one forward pass on the meta
device. What a trial shows to be labelled wrongly is frozen, with what happened as the reason. The model itself is
never run, changed or kept.
"""

import fnmatch
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import nn

from elastic.dtypes import dtype_name
from elastic.errors import NothingToPrune, UnknownName
from elastic.plan import NEVER, Axis, Frozen, IntArray, Operation, Plan, TensorSpec
from elastic.tracing.graph_library import labels_from_graph_library
from elastic.tracing.labels import Labels
from elastic.tracing.operations import count_operations
from elastic.tracing.probing import wrong_groups
from elastic.tracing.twin import Example, meta_twin, place

log = logging.getLogger(__name__)

LabelSource = Callable[[nn.Module, Example], Labels]
ENGINES: Mapping[str, LabelSource] = {"torch-pruning": labels_from_graph_library}


def trace(
    model: nn.Module,
    example: Example,
    *,
    freeze: Sequence[str] = (),
    engine: str = "torch-pruning",
    probe: bool = True,
) -> Plan:
    """Return the plan of a model; the model comes back untouched.

    `example` is what the model is called with: a tensor, a sequence of arguments or a mapping of keywords; MACs are
    counted for it as it is, so give it a batch of one. `freeze` takes name patterns (`layer1.*`, `*.conv2`) of modules
    whose own outputs must keep their width. `probe` tries a random cut on a copy with random weights, and freezes what
    does not give what zeroing gives.

    Raises UnknownName for an engine or a pattern that nothing goes by, TraceError if the model can't be followed at
    all, NothingToPrune, with the reasons, if not one unit is left.
    """
    if engine not in ENGINES:
        raise UnknownName(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    twin = meta_twin(model)
    labels = ENGINES[engine](twin, example)
    specs, aliases = _specs(model)
    operations = count_operations(twin, place(example, "meta"), dict(twin.named_parameters()))
    _freeze_patterns(labels, freeze, [name for name, _ in twin.named_modules()])
    plan = _plan(labels, specs, aliases, operations)
    if probe and plan.units:
        for group, reason in wrong_groups(model, twin, example, plan):
            log.info("frozen: %s: %s", group.name, reason)
            _freeze_units(labels, plan, group.units, reason)
        plan = _plan(labels, specs, aliases, operations)
    if not plan.units:
        reasons = sorted({f"{f.tensor}: {f.reason}" for f in plan.frozen})
        raise NothingToPrune(
            f"nothing in {type(model).__name__} can be pruned: {'; '.join(reasons[:3]) or 'no layer has channels'}"
        )
    return plan


def _specs(model: nn.Module) -> tuple[dict[str, TensorSpec], dict[str, str]]:
    parameters = {id(p) for p in model.parameters()}
    first: dict[int, str] = {}
    specs, aliases = {}, {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if (known := first.setdefault(id(tensor), name)) != name:
            aliases[name] = known
        else:
            specs[name] = TensorSpec(tuple(tensor.shape), dtype_name(tensor.dtype), id(tensor) in parameters)
    return specs, aliases


def _plan(
    labels: Labels, specs: Mapping[str, TensorSpec], aliases: Mapping[str, str], operations: tuple[Operation, ...]
) -> Plan:
    """Number the units in the order in which the state dict meets them, and drop axes that have none."""
    order = {name: number for number, name in enumerate(specs)}
    homes = sorted((home for home in labels.axes if home[0] in order), key=lambda home: (order[home[0]], home[1]))
    numbers: dict[int, int] = {}
    axes: dict[Axis, IntArray] = {}
    frozen = []
    for home in homes:
        found = labels.axes[home]
        if (found != NEVER).any():
            for label in dict.fromkeys(found[found != NEVER].tolist()):
                numbers.setdefault(label, len(numbers))
            axes[home] = np.array([numbers.get(label, NEVER) for label in found.tolist()], np.int64)
        if home in labels.reasons:
            frozen.append(Frozen(*home, int((found == NEVER).sum()), labels.reasons[home]))
    return Plan(axes, specs, operations, tuple(frozen), aliases)


def _freeze_patterns(labels: Labels, patterns: Sequence[str], modules: Sequence[str]) -> None:
    for pattern in patterns:
        if not (hits := set(fnmatch.filter(modules, pattern))):
            raise UnknownName(f"no module's name matches {pattern!r}; `elastic doctor` lists them")
        for (name, axis), found in list(labels.axes.items()):
            if name.rpartition(".")[0] in hits and axis == labels.output_axis.get(name, 0):
                labels.freeze(found[found != NEVER], f"the pattern {pattern!r} asks for it")


def _freeze_units(labels: Labels, plan: Plan, units: IntArray, reason: str) -> None:
    home, number = next(((home, a) for home, a in plan.axes.items() if np.isin(a, units).any()))
    labels.freeze(np.unique(labels.axes[home][np.isin(number, units)]), reason)
