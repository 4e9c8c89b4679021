"""Silencing: units of a plan that zeros among the weights have left without a purpose.

A unit is dead if nothing reads it, since all columns that do are zero, or if it makes nothing, since all rows that make
it are. Whatever else there is of a dead unit, its bias, its norm, the columns that read a constant, is set to zero with
it, which may be the end of others. Once all are zero, and as long as they stay so, a cut of the plan takes them out
exactly.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from elastic.cutting import State
from elastic.masking import masked
from elastic.plan import NEVER, BoolArray, LevelArray, Plan
from elastic.roles import output_axes, read_axes

# What these do to a channel doesn't depend on others but by a product with a weight. Subclasses may do anything.
CHANNELWISE = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.PReLU,
)  # fmt: skip


def dead_units(model: nn.Module, plan: Plan, state: State) -> LevelArray:
    """Return 1 for each unit that is dead and 0 for the others, [units], given a state dict of the plan.

    The model tells which units can leave exactly: not those of norms over channels, whose statistics would change. Of
    a group that is wholly dead one unit is kept.
    """
    can, makers = _exact(model, plan), _makers(model, plan)
    levels = np.zeros(plan.units, np.uint8)
    while True:
        found = levels | (_without_purpose(plan, makers, masked(state, plan, levels)) & can)
        for group in plan.groups:
            if found[group.units].all():
                found[group.units[levels[group.units] == 0][0]] = 0
        if (levels == found).all():
            return levels
        levels = found


def with_silence(masks: Mapping[str, Tensor], plan: Plan, levels: LevelArray, state: State) -> dict[str, Tensor]:
    """Return masks of all parameters of the plan: false where these masks are, and at all that dead units have."""
    every = {name: torch.ones(tensor.shape, dtype=torch.bool) for name, tensor in state.items()}
    every |= {name: mask.cpu() for name, mask in masks.items()}
    silent = masked(every, plan, levels)
    return {name: silent[name] for name, spec in plan.tensors.items() if spec.is_parameter}


def _without_purpose(plan: Plan, makers: Mapping[str, int], state: State) -> BoolArray:
    """Return whether nothing reads a unit, or it makes nothing, [units]; one that no weight reads or makes may."""
    found = np.zeros(plan.units, np.bool_)
    for axes in (read_axes(plan), makers):
        is_there, is_felt = np.zeros((2, plan.units), np.bool_)
        for name, axis in axes.items():
            labels = plan.axes_of_tensor[name][axis]
            others = [other for other in range(state[name].dim()) if other != axis]
            felt = (state[name] != 0).sum(others).cpu().numpy() > 0
            is_there[labels[labels != NEVER]] = True
            is_felt[labels[(labels != NEVER) & felt]] = True
        found |= is_there & ~is_felt
    return found


def _makers(model: nn.Module, plan: Plan) -> dict[str, int]:
    """Return, by the weight's name, the axis of the channels that a layer makes, where some of them can leave.

    Grouped convolutions, depthwise ones too, make nothing of channels that others have made.
    """
    found = {name: axis for name, axis in output_axes(plan).items() if axis in plan.axes_of_tensor.get(name, {})}
    units = {name: set(plan.axes_of_tensor[name][axis].tolist()) - {NEVER} for name, axis in found.items()}
    grouped = [name for name in found if getattr(model.get_submodule(name.rpartition(".")[0]), "groups", 1) > 1]
    made: set[int] = set().union(*(units[name] for name in found if name not in grouped))
    return {name: axis for name, axis in found.items() if name not in grouped or not units[name] <= made}


def _exact(model: nn.Module, plan: Plan) -> BoolArray:
    can = np.ones(plan.units, np.bool_)
    for name, axes in plan.axes_of_tensor.items():
        module = model.get_submodule(name.rpartition(".")[0])
        if type(module) not in CHANNELWISE:
            for labels in axes.values():
                can[labels[labels != NEVER]] = False
    return can
