"""Planned: the plan of a file, written into its header and read back, with everything in it checked.

Labels are tensors of the file; what else a plan holds is plain data that the file format knows nothing of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elastic.errors import FileFormatError, PlanMismatch
from elastic.metadata import Header, read_axes, read_header, read_score, read_units
from elastic.plan import NEVER, Axis, Frozen, IntArray, LevelArray, Operation, Plan, TensorSpec


@dataclass(frozen=True, eq=False)
class Planned:
    """What a file says of its plan: enough to cut other widths from it without tracing again."""

    plan: Plan
    levels: LevelArray
    scores: np.ndarray | None


def load_plan(path: str | Path) -> Planned:
    """Return the plan, the levels and the scores that a file holds.

    Raises FileFormatError if it has no labels.
    """
    header = read_header(path)
    labels, of_axes = read_units(path), read_axes(path)
    if not labels:
        raise FileFormatError(f"{path} holds no labels of units; trace the model and save it again")
    if {name: set(found) for name, found in labels.items()} != {name: set(found) for name, found in of_axes.items()}:
        raise FileFormatError(f"{path}: its labels and its levels are of different axes; save it again")
    axes: dict[Axis, IntArray] = {(n, a): u.astype(np.int64) for n, found in labels.items() for a, u in found.items()}
    plan = _plan_from_json(header, axes, path)
    levels = np.zeros(plan.units, np.uint8)
    for (name, axis), units in plan.axes.items():
        levels[units[units != NEVER]] = of_axes[name][axis][units != NEVER]
    return Planned(plan, levels, read_score(path))


def scores_in(path: str | Path, plan: Plan) -> np.ndarray:
    """Return the scores that a file holds, float64 [units], for another cut of the network that it was made of.

    Raises PlanMismatch if the file is of another network or plan, or holds no scores, and what `load_plan` raises.
    """
    planned = load_plan(path)
    if planned.scores is None:
        raise PlanMismatch(f"{path} holds no scores; give a file that `elastic gate channels` wrote")
    of_file = planned.plan.axes
    if of_file.keys() != plan.axes.keys() or not all(
        np.array_equal(of_file[home], plan.axes[home]) for home in of_file
    ):
        raise PlanMismatch(
            f"{path} has {planned.plan.units} units on {len(of_file)} axes, the network {plan.units} on "
            f"{len(plan.axes)}, or they are numbered otherwise: it is of another network; freeze the same layers"
        )
    return planned.scores.astype(np.float64)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return what a header says of a plan."""
    return {
        "operations": [[o.module, o.kind, o.weight, o.macs, *([o.along] if o.along else [])] for o in plan.operations],
        "attributes": [[module, name, labels.tolist()] for (module, name), labels in plan.attributes.items()],
        "frozen": [[f.tensor, f.axis, f.positions, f.reason] for f in plan.frozen],
        "tensors": {name: [list(s.shape), s.dtype, s.is_parameter] for name, s in plan.tensors.items()},
    }


def _plan_from_json(header: Header, axes: Mapping[Axis, IntArray], path: str | Path) -> Plan:
    try:
        operations = tuple(
            Operation(str(m), str(k), w, int(n), tuple(tuple(int(u) for u in a) for a in (along[0] if along else ())))
            for m, k, w, n, *along in header.plan["operations"]
        )
        attributes = {
            (str(module), str(name)): np.array([int(u) for u in labels], np.int64)
            for module, name, labels in header.plan.get("attributes", [])
        }
        frozen = tuple(Frozen(str(t), int(a), int(p), str(r)) for t, a, p, r in header.plan["frozen"])
        tensors = {
            str(name): TensorSpec(tuple(int(n) for n in shape), str(dtype), bool(is_parameter))
            for name, (shape, dtype, is_parameter) in header.plan["tensors"].items()
        }
        lengths = {home: tensors[home[0]].shape[home[1]] for home in axes}
        weights = {o.weight for o in operations if o.weight is not None}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as reason:
        raise FileFormatError(
            f"{path}: its plan can't be read ({type(reason).__name__}: {reason}); save it again"
        ) from reason
    is_whole = weights <= set(tensors) and set(tensors) | set(header.aliases) == set(header.names)
    if not is_whole or any(len(axes[home]) != length for home, length in lengths.items()):
        raise FileFormatError(f"{path}: its plan and its labels don't agree; save it again")
    used = np.unique(np.concatenate([a[a != NEVER] for a in axes.values()]))
    if len(used) != (used[-1] + 1 if len(used) else 0) or any(int(a.min()) < NEVER for a in axes.values()):
        raise FileFormatError(f"{path}: its units are not numbered 0 to {len(used) - 1}; save it again")
    named = [*(np.array(a, np.int64) for o in operations for a in o.along), *attributes.values()]
    if any(len(a) and not NEVER <= int(a.min()) <= int(a.max()) < len(used) for a in named):
        raise FileFormatError(f"{path}: its operations or attributes speak of units that it lacks; save it again")
    return Plan(axes, tensors, operations, frozen, dict(header.aliases), attributes)
