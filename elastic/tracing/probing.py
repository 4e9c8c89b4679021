"""Find by trying what the labels got wrong: remove units from a copy, compare with zeroing them, freeze what differs.

The copy has random weights, so that gains which a trainer left at zero can't hide a mistake.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from elastic.cutting import cut
from elastic.errors import ElasticError
from elastic.fitting import fitted
from elastic.masking import NormsOverWhatStays, masked
from elastic.plan import Axis, Group, LevelArray, Plan
from elastic.tracing.twin import Example, outputs, place, random_twin, run

FAILURES = (ElasticError, RuntimeError, ValueError, TypeError, IndexError, AssertionError)  # of a network cut wrongly
FEW = 16
TOLERANCE = 1e-3  # of the output's scale, in float32; a wrong cut is off by tenths


def wrong_groups(model: nn.Module, twin: nn.Module, example: Example, plan: Plan) -> list[tuple[Group, str]]:
    """Return the groups that can't be cut as labelled, each with what happened when it was tried.

    Shapes are tried first, on the meta twin, which costs no arithmetic; then values.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = place(example, "meta")
        wrong = _search(list(plan.groups), lambda groups: _try_shapes(twin, shapes, plan, groups))
        found = {id(group) for group, _ in wrong}
        rest = [group for group in plan.groups if id(group) not in found]
        values, inputs = random_twin(model), place(example, "cpu")
        return wrong + _search(rest, lambda groups: _try_values(values, inputs, plan, groups))


def _search(groups: list[Group], attempt: Callable[[list[Group]], str | None]) -> list[tuple[Group, str]]:
    if not groups or (failure := attempt(groups)) is None:
        return []
    if len(groups) == 1:
        return [(groups[0], failure)]
    half = len(groups) // 2
    found = _search(groups[:half], attempt) + _search(groups[half:], attempt)
    # Halves that are right alone and wrong together: nothing singles one out, so all of them go.
    return found or [(group, failure) for group in groups]


def _try_shapes(twin: nn.Module, inputs: Example, plan: Plan, groups: Sequence[Group]) -> str | None:
    shapes = [t.shape for t in outputs(run(twin, inputs))]
    for levels in _removals(plan, groups):
        try:
            got = outputs(run(fitted(twin, cut(twin.state_dict(), plan, levels)), inputs))
        except FAILURES as reason:
            return _in_words(reason)
        if [t.shape for t in got] != shapes:
            return "the output changes its shape"
    return None


def _try_values(twin: nn.Module, inputs: Example, plan: Plan, groups: Sequence[Group]) -> str | None:
    state = twin.state_dict()
    for levels in _removals(plan, groups):
        with NormsOverWhatStays():
            wanted = outputs(run(fitted(twin, masked(state, plan, levels)), inputs))
            try:
                got = outputs(run(fitted(twin, cut(state, plan, levels)), inputs))
            except FAILURES as reason:  # not every mistake shows on the meta device
                return _in_words(reason)
        if not all((a - b).abs().max() <= TOLERANCE * b.abs().max() for a, b in zip(got, wanted, strict=True)):
            return "removing some of it is not the same as zeroing it"
    return None


def _in_words(reason: Exception) -> str:
    return f"the network doesn't run without some of it: {str(reason).splitlines()[0][:120]}"


def _removals(plan: Plan, groups: Sequence[Group]) -> Iterator[LevelArray]:
    """Yield levels, in one of which every group loses something, more of one group than of the next on an axis.

    A forward that halves whatever width it finds goes wrong only when the halves lose unequally. Of a few units, many
    choices are right by luck, so those groups lose just one as well.
    """
    divisible = [group for group in groups if len(group.units) > 1]
    on_axis: dict[Axis, int] = {}
    levels = np.zeros(plan.units, np.uint8)
    for number, group in enumerate(divisible):
        place = on_axis[group.axes[0]] = on_axis.get(group.axes[0], -1) + 1
        levels |= some_removed(plan, [group], 0.3 if place % 2 else 0.7, number)
    yield levels
    if few := [group for group in divisible if len(group.units) < FEW]:
        alone = np.zeros(plan.units, np.uint8)
        alone[[np.random.default_rng(number).choice(group.units) for number, group in enumerate(few)]] = 1
        yield alone


def some_removed(plan: Plan, groups: Sequence[Group], ratio: float = 0.5, seed: int = 0) -> LevelArray:
    """Return levels that keep a random part of each group's units, at least one, in level 0; the others return in 1."""
    generator = np.random.default_rng(seed)
    levels = np.zeros(plan.units, np.uint8)
    for group in groups:
        count = min(len(group.units) - 1, int(len(group.units) * ratio))
        levels[generator.permutation(group.units)[:count]] = 1
    return levels
