"""What a plan says of a network: which layers each group ties together, and what holds the rest.

Both are read off the plan. Frozen axes with the same reason at the same line of code are one obstacle, since one
change frees them.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from elastic.advising import advise, is_natural
from elastic.plan import NEVER, Axis, Frozen, Group, IntArray, Layer, Plan

MAKES = ("convolution", "linear", "embedding")
USES = ("convolution", "linear", "attention")

# ` (resnet.py:268, module layer1.0)`, either part alone: where tracing was when it met the reason.
PLACE = re.compile(r" \((?:(?P<line>[^()]+:\d+)(?:, module (?P<inner>[^()]+))?|module (?P<outer>[^()]+))\)$")


@dataclass(frozen=True, eq=False)
class Tie:
    """A group with the layers that it ties together.

    `params` leave if all of the group does; groups share weights, so these don't add up. `makers` and `users` are the
    modules whose outputs and inputs its channels are, in forward order; None where the plan has no `layers`.
    """

    number: int
    group: Group
    params: int
    makers: tuple[str, ...] | None
    users: tuple[str, ...] | None

    @property
    def channels(self) -> int:
        """How many channels the group has."""
        return len(self.group.units) * self.group.positions_per_unit


@dataclass(frozen=True)
class Obstacle:
    """One reason for which positions never leave, with everything that it holds.

    `line` is where in the network's code it was met and `modules` in which of its modules, as far as tracing says.
    `params` lie on the frozen positions. `advice` says what would have to change in the network, empty where we don't
    know; `is_natural` that nothing could, since it is the network's own input or output.
    """

    reason: str
    line: str
    modules: tuple[str, ...]
    axes: tuple[Axis, ...]
    positions: int
    params: int
    is_natural: bool
    advice: str


def ties(plan: Plan) -> tuple[Tie, ...]:
    """Return what each group ties together, in the order of `plan.groups`; numbers begin at 1."""
    makers, users = _sides(plan)
    return tuple(
        Tie(
            number + 1,
            group,
            _params_of(plan, number, group),
            tuple(makers.get(number, ())) if plan.layers else None,
            tuple(users.get(number, ())) if plan.layers else None,
        )
        for number, group in enumerate(plan.groups)
    )


def obstacles(plan: Plan) -> tuple[Obstacle, ...]:
    """Return what holds the positions that never leave: most parameters first, the network's own ends last."""
    found: dict[tuple[str, str], list[tuple[Frozen, str, str, str]]] = {}
    for frozen in plan.frozen:
        reason, line, module = taken_apart(frozen.reason)
        if is_natural(reason):  # wherever that is
            reason, line, module = re.sub(r" in `\w+`$", "", reason), "", ""
        key = (re.sub(r"\d+", "#", reason), line)  # sizes in a message differ from module to module
        found.setdefault(key, []).append((frozen, reason, line, module))
    every = [_obstacle(plan, members) for members in found.values()]
    return tuple(sorted(every, key=lambda each: (each.is_natural, -each.params)))


def name_of(layer: Layer) -> str:
    """Return what a layer is called: its module, or a part of it where the module uses that part's weight itself."""
    owner = (layer.weight or "").rpartition(".")[0]
    return owner if owner.startswith(f"{layer.module}." if layer.module else "") and owner else layer.module


def taken_apart(reason: str) -> tuple[str, str, str]:
    """Return a reason without its place, the line of code, and the module; empty where it doesn't say."""
    if (place := PLACE.search(reason)) is None:
        return reason, "", ""
    return reason[: place.start()], place["line"] or "", place["inner"] or place["outer"] or ""


def _obstacle(plan: Plan, members: list[tuple[Frozen, str, str, str]]) -> Obstacle:
    _, reason, line, _ = members[0]
    frozen = [each for each, *_ in members]
    modules = tuple(dict.fromkeys(module for *_, module in members if module))
    axes = tuple((each.tensor, each.axis) for each in frozen)
    positions = sum(each.positions for each in frozen)
    return Obstacle(
        reason, line, modules, axes, positions, _params_on(plan, frozen), is_natural(reason), advise(reason)
    )


def _params_on(plan: Plan, frozen: Iterable[Frozen]) -> int:
    """Return how many parameters lie on frozen positions, each counted once."""
    left: dict[str, dict[int, int]] = {}
    for each in frozen:
        left.setdefault(each.tensor, {})[each.axis] = each.positions
    return sum(_without(plan.tensors[name].shape, gone) for name, gone in left.items() if _counts(plan, name))


def _params_of(plan: Plan, number: int, group: Group) -> int:
    gone: dict[str, dict[int, int]] = {}
    for name, axis in group.axes:
        labels = plan.axes[name, axis]
        of_group = plan.group_of_unit[labels[labels != NEVER]] == number
        gone.setdefault(name, {})[axis] = int(of_group.sum())
    return sum(_without(plan.tensors[name].shape, axes) for name, axes in gone.items() if _counts(plan, name))


def _without(shape: tuple[int, ...], gone: Mapping[int, int]) -> int:
    return math.prod(shape) - math.prod(size - gone.get(axis, 0) for axis, size in enumerate(shape))


def _counts(plan: Plan, name: str) -> bool:
    return name in plan.tensors and plan.tensors[name].is_parameter


def _sides(plan: Plan) -> tuple[dict[int, dict[str, None]], dict[int, dict[str, None]]]:
    """Return the modules that make and that use the channels of each group; dicts for their order."""
    makers: dict[int, dict[str, None]] = {}
    users: dict[int, dict[str, None]] = {}
    groups = [_groups_in(plan, layer) for layer in plan.layers]
    for layer, made in zip(plan.layers, groups, strict=True):
        used = {number for each in layer.inputs for number in groups[each]}
        for numbers, kinds, side in ((made, MAKES, makers), (used, USES, users)):
            for number in numbers if layer.kind in kinds else ():
                side.setdefault(number, {})[name_of(layer)] = None
    return makers, users


def _groups_in(plan: Plan, layer: Layer) -> set[int]:
    found: set[int] = set()
    for labels in layer.units.values():
        found |= _numbers(plan, labels)
    return found


def _numbers(plan: Plan, labels: IntArray) -> set[int]:
    return set(np.unique(plan.group_of_unit[labels[labels != NEVER]]).tolist())
