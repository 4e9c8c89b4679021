"""Check labels by running the network that they cut: the same run, operation by operation, with known units.

On the meta device this costs no arithmetic, and it sees more than shapes: every position of every weight knows its
unit, so a slice that takes the wrong channels, a scale that follows a width and a size that should have changed and
did not each show at the operation that does it. Numbers that modules keep of their widths are found there too.
"""

import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from torch import Tensor, nn

from elastic.fitting import fit
from elastic.plan import NEVER, Axis, BoolArray, IntArray, LevelArray, Plan
from elastic.tracing.call import Call, tensors_in
from elastic.tracing.followed import Choice
from elastic.tracing.follower import Follower, Stopped
from elastic.tracing.script import SIZED, Decisions, Step
from elastic.tracing.subject import Subject, shrink
from elastic.tracing.twin import FAILURES, in_words

NEAR = 8  # operations that a line of code might do before the one that fails


@dataclass(frozen=True, eq=False)
class Conflict:
    """Where a network that was cut is not what its labels say."""

    reason: str
    units: IntArray  # of the plan that was checked
    choices: frozenset[Choice]
    step: int | None = None  # of the run, where an operation did not do what it did before the cut
    is_around: bool = False  # units are those of the module, since the operation itself meets none
    at: int = 0  # how many operations had been done
    every: IntArray = field(default_factory=lambda: np.empty(0, np.int64))  # all units that the operation meets
    is_foreign: bool = False  # a size followed another width: no other choice would help


def conflicts(
    subject: Subject,
    plan: Plan,
    levels: LevelArray,
    script: Sequence[Step],
    units: IntArray,
    decisions: Decisions,
) -> list[Conflict]:
    """Return what goes wrong when the twin is cut and run; `units` is the unit of every cell of the script."""
    stays = np.append(levels == 0, True)
    small = subject.twin
    with subject.borrowed():
        fit(small, _shrunk(small, plan, stays), plan.sizes(levels))
        checker = _Checker(small, plan, stays, script, units, decisions)
        cut = subject.shrunk(plan.axes_of_tensor, stays)
        cut.enter(checker, {home: labels[stays[labels]] for home, labels in _every_axis(subject, plan).items()})
        try:
            cut.run(checker)
            if len(checker.steps) < len(script) and not checker.conflicts:
                checker.fail("the network takes a shorter way when it is cut", np.empty(0, np.int64))
        except Stopped:
            pass
        except FAILURES as reason:
            checker.fail_outside(reason)
    return checker.conflicts


def _every_axis(subject: Subject, plan: Plan) -> dict[Axis, IntArray]:
    """Return the labels of the axes of the inputs that carry some, elastic or not."""
    return {
        (f"~{number}", dim): plan.axes.get((f"~{number}", dim), np.full(len(cells), NEVER))
        for number, carried in enumerate(subject.carried)
        for dim, cells in carried.axes.items()
    }


def _shrunk(twin: nn.Module, plan: Plan, stays: BoolArray) -> dict[str, Tensor]:
    """Return the state dict of a twin without the units that leave, and without values."""
    state = dict(twin.state_dict())
    for name, tensor in state.items():
        if axes := plan.axes_of_tensor.get(plan.aliases.get(name, name)):
            state[name] = shrink(tensor, axes, stays)
    return state


class _Checker(Follower):  # type: ignore[no-untyped-call]
    def __init__(
        self,
        small: nn.Module,
        plan: Plan,
        stays: BoolArray,
        script: Sequence[Step],
        units: IntArray,
        decisions: Decisions,
    ) -> None:
        state = small.state_dict()
        origins = {
            (name, axis): np.full(size, NEVER)
            for name, tensor in state.items()
            for axis, size in enumerate(tensor.shape)
        }
        for name in state:
            for axis, labels in plan.axes_of_tensor.get(plan.aliases.get(name, name), {}).items():
                origins[name, axis] = labels[stays[labels]]
        super().__init__(small, decisions, origins=origins, clash=self._clash)
        self.plan = plan
        self.stays = stays
        self.script = script
        self.units = units
        self.conflicts: list[Conflict] = []
        self.call: Call | None = None
        self.failed_in: str | None = None

    def run(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operation, and stop where it isn't the one of the script or can't be run."""
        self.call = call = Call(name, func, args, kwargs, None, self)
        step = self.script[len(self.steps)] if len(self.steps) < len(self.script) else None
        if step is None or step.name != (name.rstrip("_") if name.endswith("_") else name):
            self.fail("the network takes another way when it is cut", self._units_of_inputs(call))
        try:
            return super().run(name, func, args, kwargs)
        except FAILURES as reason:
            self.fail(in_words(reason), np.union1d(self._units_of_inputs(call), self._units_of(step)), is_step=True)

    def note(self, call: Call, outs: Any) -> None:
        """Compare what an operation made with what it made before the cut."""
        step = self.script[len(self.steps)]
        super().note(call, outs)
        self.call = call
        outs_that_count = 1 if "norm" in call.name else None  # a norm's statistics are nothing that goes on
        for shape, before, axes in list(zip(self.steps[-1].shapes, step.shapes, step.axes))[:outs_that_count]:  # noqa: B905
            wanted = tuple(self.expected(axes, dim, size) for dim, size in enumerate(before))
            if shape != wanted:
                self.steps.pop()
                text = f"`{call.name}` makes {list(shape)} of it where {list(wanted)} would be left"
                self.fail(text, np.union1d(self._units_of_inputs(call), self._units_of(step)), is_step=True)
        if self.steps[-1].constants != step.constants:
            self._conflict(f"a constant in `{call.name}` follows the width", self._units_of_inputs(call))

    def expected(self, axes: Mapping[int, IntArray], dim: int, size: int) -> int:
        """Return the size of an axis after the cut."""
        return int(self.stays[self.units[axes[dim]]].sum()) if dim in axes else size

    def fail_outside(self, reason: Exception) -> None:
        """Blame what goes into the module in which code failed that is no operation."""
        every = self._units_around(above(self.failed_in or ""))
        step = self._step_at(reason)
        choices = frozenset[Choice]() if step is None else self.script[step].choices
        text = in_words(reason) + (f" (module {self.failed_in})" if self.failed_in else "")
        is_foreign = step is not None and self._is_foreign(text, self.script[step])
        self.conflicts.append(Conflict(text, every, choices, step, True, len(self.steps), every, is_foreign))

    def _is_foreign(self, text: str, step: Step) -> bool:
        """Return whether a size that was asked for changed, and not as the labels say: it came from elsewhere."""
        asked = re.search(r"shape '\[([-\d, ]+)\]' is invalid", text)
        sizes = [int(size) for size in asked[1].split(",")] if asked else []
        before = step.shapes[0] if step.shapes else ()
        return len(sizes) == len(before) and any(
            size not in (-1, old, self.expected(step.axes[0], dim, old))
            for dim, (size, old) in enumerate(zip(sizes, before, strict=True))
        )

    def _units_around(self, modules: Sequence[str]) -> IntArray:
        """Return the units of what goes into the innermost module that gets any, and of its own tensors."""
        return units_around(self, self.plan, self._known, modules)

    def _step_at(self, reason: Exception) -> int | None:
        """Return which step of the script would have come at the line where code failed that is no operation yet."""
        found = {(frame.filename, frame.lineno) for frame in traceback.extract_tb(reason.__traceback__)}
        for number in range(len(self.steps), min(len(self.steps) + NEAR, len(self.script))):
            place = self.script[number].place
            if place and any(line in found for line in place):
                return number
        return None

    def _clash(self, some: IntArray, others: IntArray) -> None:
        name = self.call.name if self.call else ""
        text = f"`{name}` meets other channels once some have left"
        self._conflict(text, np.union1d(some, others), is_step=name in SIZED)

    def _conflict(self, reason: str, units: IntArray, *, is_step: bool = False) -> None:
        choices = self.choices_of(self.call) if self.call else frozenset[Choice]()
        step = len(self.steps) if is_step else None
        if step is not None:
            choices |= self.script[step].choices
        units = units[units > NEVER]
        every = self._units_of_inputs(self.call) if self.call else units
        is_around = not len(units)  # a size that the code took from elsewhere
        if is_around:
            units = self._units_around(self.modules)
        is_foreign = step is not None and self._is_foreign(reason, self.script[step])
        text = reason + self.where()
        self.conflicts.append(Conflict(text, units, choices, step, is_around, len(self.steps), every, is_foreign))

    def fail(self, reason: str, units: IntArray, *, is_step: bool = False) -> NoReturn:
        """Note a conflict and stop."""
        self._conflict(reason, units, is_step=is_step)
        raise Stopped

    def _units_of_inputs(self, call: Call) -> IntArray:
        found = [self._known(cells) for t in call.tensors() for cells in self.followed(t).axes.values()]
        return np.unique(np.concatenate([np.empty(0, np.int64), *found]))

    def _units_of(self, step: Step | None) -> IntArray:
        found = [self.units[cells] for axes in (step.axes if step else ()) for cells in axes.values()]
        return np.unique(np.concatenate([np.empty(0, np.int64), *found]))

    def _known(self, cells: IntArray) -> IntArray:
        return self.partition.origin[self.partition.find(cells)]

    def _leave(self, *_: Any) -> None:
        if self.failed_in is None and sys.exc_info()[0] is not None:
            self.failed_in = self.modules[-1]
        super()._leave()


def units_around(
    follower: Follower, plan: Plan, known: Callable[[IntArray], IntArray], modules: Sequence[str]
) -> IntArray:
    """Return the units of what goes into the innermost module that gets any, and of its own tensors.

    `modules` are outermost first; `known` gives the units of cells.
    """
    for path in reversed(modules):
        entered = tensors_in(follower.entered.get(path, ((), {})))
        found = [known(cells) for t in entered for cells in follower.followed(t).axes.values()]
        prefix = f"{path}." if path else ""
        found += [a for (name, _), a in plan.axes.items() if name.startswith(prefix)]
        every = np.unique(np.concatenate([np.empty(0, np.int64), *found]))
        if (every > NEVER).any():
            return every[every > NEVER]
    return np.empty(0, np.int64)


def above(path: str) -> list[str]:
    """Return the paths of a module and of those around it, outermost first."""
    parts = path.split(".") if path else []
    return ["", *(".".join(parts[: end + 1]) for end in range(len(parts)))]
