"""From a run to labels: cells that are one get one number, those that never leave get NEVER and the reason."""

from dataclasses import replace

import numpy as np
from torch import nn

from elastic.plan import NEVER, IntArray, Layer
from elastic.tracing.following.recorder import Recorder
from elastic.tracing.labels import Counted, Labels
from elastic.tracing.layers import axes_of_side


def resolved(follower: Recorder) -> tuple[IntArray, dict[int, str]]:
    """Return the component of every cell, and why some of these never leave: the first reason that was given."""
    roots = follower.partition.components()
    why: dict[int, str] = {}
    for cells, reason in follower.frozen:
        for root in np.unique(roots[cells]).tolist():
            if not why.get(root):
                why[root] = reason
    return roots, why


def compiled(twin: nn.Module, follower: Recorder, roots: IntArray, why: dict[int, str]) -> Labels:
    """Return the labels that a run gives."""
    labels = Labels()
    dead = np.zeros(len(roots) + 1, np.bool_)
    dead[list(why)] = True
    for home, cells in follower.axes.items():
        found = roots[cells]
        if reason := next((why[root] for root in found[dead[found]].tolist() if why[root]), ""):
            labels.reasons[home] = reason
        labels.axes[home] = np.where(dead[found], NEVER, found)
    for name, parameter in twin.named_parameters():
        if parameter.dim() and id(parameter) not in follower.beside:
            labels.axes[name, 0] = np.full(parameter.shape[0], NEVER)
            labels.reasons[name, 0] = "nothing uses it on this input"
    labels.operations = _merged(follower.counted, np.where(dead[:-1][roots], NEVER, roots))
    units = np.where(dead[:-1][roots], NEVER, roots)
    labels.layers = tuple(
        Layer(one.module, one.kind, one.inputs, one.weight, one.shape, {d: units[c] for d, c in one.units.items()})
        for one in follower.layers
    )
    labels.outputs = tuple(
        replace(one, units={dim: units[cells] for dim, cells in one.units.items()}) for one in follower.outputs.made
    )
    labels.output_axis = {
        f"{path}.{name}".lstrip("."): axis
        for path, module in twin.named_modules()
        for name, axis in axes_of_side(module, "out")
    }
    return labels


def _merged(found: list[Counted], units: IntArray) -> tuple[Counted, ...]:
    """Return operations with labels in place of cells, those of one weight as one where they run over the same axes."""
    merged: dict[tuple[object, ...], Counted] = {}
    for one in found:
        along = tuple(units[cells] for cells in one.along)
        key = (one.module, one.kind, one.weight, tuple(a.tobytes() for a in along))
        macs = one.macs + (merged[key].macs if key in merged else 0)
        merged[key] = Counted(one.module, one.kind, one.weight, macs, along)
    return tuple(merged.values())
