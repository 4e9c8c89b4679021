"""Trace: from a model and an example input to a plan.

Labels come from a source behind one seam, (twin, example) -> Labels; costs come from one forward pass on the meta
device. What a trial shows to be labelled wrongly is frozen, with what happened as the reason. The model itself is
never run, changed or kept.
"""

import fnmatch
import gc
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from elastic.errors import NothingToPrune, UnknownName
from elastic.plain import check_plain
from elastic.plan import NEVER, IntArray, Plan
from elastic.tracing.following.labelling import labels_by_following
from elastic.tracing.labels import Labels
from elastic.tracing.planning import make_plan, specs_of
from elastic.tracing.probing import wrong_groups
from elastic.tracing.twin import Example, meta_twin, random_twin

log = logging.getLogger(__name__)

LabelSource = Callable[[nn.Module, Example, Callable[[], nn.Module]], Labels]
DEFAULT = "elastic"


def _labels_from_graph_library(twin: nn.Module, example: Example, real: Callable[[], nn.Module]) -> Labels:
    from elastic.tracing.library.graph import labels_from_graph_library  # the library takes a second to import

    return labels_from_graph_library(twin, example)


ENGINES: Mapping[str, LabelSource] = {DEFAULT: labels_by_following, "torch-pruning": _labels_from_graph_library}


def trace(
    model: nn.Module,
    example: Example,
    *,
    freeze: Sequence[str] = (),
    engine: str = DEFAULT,
    probe: bool | None = None,
) -> Plan:
    """Return the plan of a model; the model comes back untouched.

    `example` is what the model is called with: a tensor, a sequence of arguments or a mapping of keywords; MACs are
    counted for it as it is, so give it a batch of one. `freeze` takes name patterns (`layer1.*`, `*.conv2`) of modules
    whose own outputs must keep their width. `engine` is the source of labels: `elastic` follows a run and checks its
    labels by another; `torch-pruning` reads that library's graph. `probe` tries a random cut on a copy with random
    weights, and freezes what does not give what zeroing gives: by default for the library's labels only, since it
    costs arithmetic.

    Raises LiveNetwork for one of `elastic.load`, UnknownName for an engine or a pattern that nothing goes by,
    TraceError if the model can't be followed at all, NothingToPrune, with the reasons, if not one unit is left.
    """
    check_plain(model)
    if engine not in ENGINES:
        raise UnknownName(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    # In inference mode operations are not told of as they are elsewhere, so a run could not be followed.
    with _quietly(), torch.inference_mode(False):
        return _trace(model, example, freeze, engine, engine != DEFAULT if probe is None else probe)


@contextmanager
def _quietly() -> Iterator[None]:
    # A trace makes many small things and lets go of them at once; collecting in between took half of its time. What a
    # network warns of when it is tried is nothing that its user did.
    collects = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if collects:
            gc.enable()


def _trace(model: nn.Module, example: Example, freeze: Sequence[str], engine: str, probe: bool) -> Plan:
    twin = meta_twin(model)
    labels = ENGINES[engine](twin, example, lambda: random_twin(model))
    specs = specs_of(model)
    _freeze_patterns(labels, freeze, [name for name, _ in twin.named_modules()])
    plan = make_plan(labels, *specs)
    if probe and plan.units:
        for group, reason in wrong_groups(model, twin, example, plan):
            log.info("frozen: %s: %s", group.name, reason)
            _freeze_units(labels, plan, group.units, reason)
        plan = make_plan(labels, *specs)
    if not plan.units:
        reasons = sorted({f"{f.tensor}: {f.reason}" for f in plan.frozen})
        raise NothingToPrune(
            f"nothing in {type(model).__name__} can be pruned: {'; '.join(reasons[:3]) or 'no layer has channels'}",
            plan,
        )
    return plan


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
