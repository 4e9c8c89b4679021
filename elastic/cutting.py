"""Cut and regrow state dicts: the two inverse verbs.

A cut keeps, of each tensor, the positions whose unit is of level k or less; what it takes is kept as shells, the same
L-shaped blocks as in the file. Works alike on weights, gradients, optimiser moments: on anything with their names and
shapes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.errors import PlanMismatch, ShellMismatch
from elastic.metadata import blocks, core_target, kept
from elastic.plan import IntArray, LevelArray, Plan

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Shell:
    """What one level adds to the one below it.

    `axes` gives the level of every position of each elastic axis, `blocks` the new elements: for each tensor that
    grows, by the ordinal of the elastic axis (`elastic.metadata.blocks` says which positions).
    """

    level: int
    axes: Mapping[str, Mapping[int, LevelArray]]
    blocks: Mapping[str, Mapping[int, Tensor]]


def cut(state: State, plan: Plan, levels: LevelArray, level: int = 0) -> dict[str, Tensor]:
    """Return the state dict of a level, in the order of `state`.

    Tensors that lose nothing are shared with `state`, the others are copied. Names that `state` lacks are left out, so
    that gradients and moments can be cut as they are; tied names stay tied.

    Raises PlanMismatch if a tensor is not of the plan's shape.
    """
    positions = plan.position_levels(levels)

    def keep(name: str, tensor: Tensor) -> Tensor:
        return _take(tensor, {axis: kept(found, level) for axis, found in positions.get(name, {}).items()})

    return each(state, plan, keep)


def inner(state: State, plan: Plan, levels: LevelArray, level: int) -> dict[str, Tensor]:
    """Return the part of a level's state dict that is of the level below it; what `regrow` puts a shell around.

    Tensors that lose nothing are shared with `state`. Raises ShellMismatch if a tensor is not of that level's shape.
    """
    positions = plan.position_levels(levels)
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        first = plan.aliases.get(name, name)
        axes = positions.get(first, {})
        for axis, of_axis in axes.items():
            if tensor.shape[axis] != int((of_axis <= level).sum()):
                raise ShellMismatch(
                    f"{name} has {tensor.shape[axis]} positions along axis {axis}, level {level} has "
                    f"{int((of_axis <= level).sum())}: this is not a state dict of that level"
                )
        found[name] = found[first] if first in found and first != name else _take(tensor, core_target(axes, level))
    return found


def shells(state: State, plan: Plan, levels: LevelArray) -> tuple[Shell, ...]:
    """Return what each level above 0 adds, smallest first; `state` is the largest level.

    Raises PlanMismatch if a tensor is not of the plan's shape.
    """
    check_shapes(state, plan)
    positions = plan.position_levels(levels)
    return tuple(
        Shell(level, positions, _new_blocks(state, positions, level))
        for level in range(1, int(levels.max(initial=0)) + 1)
    )


def regrow(core: State, outer: Sequence[Shell]) -> dict[str, Tensor]:
    """Return the state dict of the level that the last shell completes.

    Bit for bit what was cut, unless the core was trained since. Tensors that no shell touches are shared with `core`.

    Raises ShellMismatch if a shell does not fit the tensor that it belongs to.
    """
    grown = dict(core)
    for shell in outer:
        missing = [name for name in shell.blocks if name not in grown]
        if missing:
            raise ShellMismatch(f"level {shell.level} extends {missing[0]}, which the core lacks; regrow its own core")
        done = {id(grown[name]): _extend(grown[name], name, shell) for name in shell.blocks}
        grown = {name: done.get(id(tensor), tensor) for name, tensor in grown.items()}  # tied names grow together
    return grown


def each(state: State, plan: Plan, change: Callable[[str, Tensor], Tensor]) -> dict[str, Tensor]:
    """Return `change(name, tensor)` for every tensor of a state dict, tied names once.

    Raises PlanMismatch if a tensor is not of the plan's shape.
    """
    check_shapes(state, plan)
    done: dict[str, Tensor] = {}
    for name, tensor in state.items():
        first = plan.aliases.get(name, name)
        done[name] = done[first] if first in done and first != name else change(first, tensor)
    return done


def check_shapes(state: State, plan: Plan) -> None:
    """Raise PlanMismatch if a tensor of `state` is unknown to the plan or of another shape."""
    for name, tensor in state.items():
        spec = plan.tensors.get(plan.aliases.get(name, name))
        if spec is None:
            raise PlanMismatch(f"{name} is not in the plan; trace the model that this state dict belongs to")
        if tuple(tensor.shape) != spec.shape:
            raise PlanMismatch(f"{name} has shape {list(tensor.shape)}, the plan says {list(spec.shape)}; trace again")


def _new_blocks(
    state: State, positions: Mapping[str, Mapping[int, LevelArray]], level: int
) -> dict[str, dict[int, Tensor]]:
    found = {}
    for name, axes in positions.items():
        if name in state and (parts := blocks(axes, level)):
            found[name] = {part.number: _take(state[name], part.source) for part in parts}
    return found


def _extend(core: Tensor, name: str, shell: Shell) -> Tensor:
    axes, found = shell.axes[name], shell.blocks[name]
    shape = list(core.shape)
    for axis, of_axis in axes.items():
        old, shape[axis] = int((of_axis < shell.level).sum()), int((of_axis <= shell.level).sum())
        if core.shape[axis] != old:
            raise ShellMismatch(
                f"{name} has {core.shape[axis]} positions along axis {axis}, level {shell.level} extends {old}: "
                "this is not the core that it was cut from"
            )
    grown = core.new_empty(shape)
    put(grown, core_target(axes, shell.level), core)
    for part in blocks(axes, shell.level):
        put(grown, part.target, found[part.number])
    return grown


def _take(tensor: Tensor, positions: Mapping[int, IntArray]) -> Tensor:
    # The axis that loses most goes first, so that little is copied twice.
    for axis in sorted(positions, key=lambda axis: len(positions[axis]) / max(1, tensor.shape[axis])):
        if len(positions[axis]) < tensor.shape[axis]:
            tensor = tensor.index_select(axis, torch.from_numpy(positions[axis]).to(tensor.device))
    return tensor


def put(out: Tensor, positions: Mapping[int, IntArray], block: Tensor) -> None:
    """Change the elements of `out` at positions of some axes to those of a block."""
    index: list[Tensor | slice] = [slice(None)] * out.dim()
    for ordinal, axis in enumerate(positions):
        shape = [-1 if other == ordinal else 1 for other in range(len(positions))]  # an open mesh
        index[axis] = torch.from_numpy(positions[axis]).to(out.device).view(shape)
    # Advanced indices that are not side by side move to the front; ours are moved there first, so it is always so.
    front = [*positions, *(axis for axis in range(out.dim()) if axis not in positions)]
    out.permute(front)[tuple(index[axis] for axis in positions)] = block.permute(front)
