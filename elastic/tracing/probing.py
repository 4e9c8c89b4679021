"""Find by trying what the labels got wrong: remove units from a copy, compare with zeroing them, freeze what differs.

The copy has random weights, so that gains which a trainer left at zero can't hide a mistake.
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn

from elastic.cutting import cut
from elastic.fitting import fitted
from elastic.masking import NormsOverWhatStays, masked
from elastic.plan import Group, Plan
from elastic.tracing.removals import uneven_removals
from elastic.tracing.twin import FAILURES, Example, in_words, outputs, place, random_twin, run

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
    for levels in uneven_removals(plan, groups):
        try:
            got = outputs(run(fitted(twin, cut(twin.state_dict(), plan, levels), plan.sizes(levels)), inputs))
        except FAILURES as reason:
            return in_words(reason)
        if [t.shape for t in got] != shapes:
            return "the output changes its shape"
    return None


def _try_values(twin: nn.Module, inputs: Example, plan: Plan, groups: Sequence[Group]) -> str | None:
    state = twin.state_dict()
    for levels in uneven_removals(plan, groups):
        with NormsOverWhatStays():
            wanted = outputs(run(fitted(twin, masked(state, plan, levels)), inputs))
            try:
                got = outputs(run(fitted(twin, cut(state, plan, levels), plan.sizes(levels)), inputs))
            except FAILURES as reason:  # not every mistake shows on the meta device
                return in_words(reason)
        if not all((a - b).abs().max() <= TOLERANCE * b.abs().max() for a, b in zip(got, wanted, strict=True)):
            return "removing some of it is not the same as zeroing it"
    return None
