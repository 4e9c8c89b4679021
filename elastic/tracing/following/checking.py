"""Check labels by running the network that they cut: the same run, operation by operation, with known units.

On the meta device this costs no arithmetic, and it sees more than shapes: every position of every weight knows its
unit, so a slice that takes the wrong channels, a scale that follows a width and a size that should have changed and
did not each show at the operation that does it. Numbers that modules keep of their widths are found there too.
"""

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from torch import Tensor, nn

from elastic.fitting import fit
from elastic.plan import NEVER, Axis, BoolArray, IntArray, LevelArray, Plan
from elastic.tracing.following.call import Call, tensors_in
from elastic.tracing.following.followed import Choice
from elastic.tracing.following.follower import Follower, Stopped
from elastic.tracing.following.recorder import where
from elastic.tracing.following.script import SIZED, Decisions, Step, constants_of
from elastic.tracing.following.subject import Subject, shrink
from elastic.tracing.twin import FAILURES, Modules, in_words

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
        checker = _Checker(subject.modules, plan, stays, script, units, decisions)
        cut = subject.shrunk(plan.axes_of_tensor, stays)
        cut.enter(checker, _carried(subject, plan, stays))
        try:
            cut.run(checker)
            if checker.done < len(script) and not checker.conflicts:
                checker.fail("the network takes a shorter way when it is cut", np.empty(0, np.int64))
        except Stopped:
            pass
        except FAILURES as reason:
            checker.fail_outside(reason)
    return checker.conflicts


def _carried(subject: Subject, plan: Plan, stays: BoolArray) -> dict[Axis, IntArray]:
    """Return the units that stay on each axis of what goes in."""
    found = {}
    for number, carried in enumerate(subject.carried):
        for dim, cells in carried.axes.items():
            labels = plan.axes.get((f"~{number}", dim), np.full(len(cells), NEVER))
            found[f"~{number}", dim] = labels[stays[labels]]
    return found


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
        modules: Modules,
        plan: Plan,
        stays: BoolArray,
        script: Sequence[Step],
        units: IntArray,
        decisions: Decisions,
    ) -> None:
        super().__init__(modules, decisions, clash=self._clash)
        self.plan = plan
        self.stays = stays
        self.script = script
        self.units = units
        self.done = 0  # steps of the script
        self.sizes: dict[int, int] = {}  # after the cut, by what is on an axis
        self.conflicts: list[Conflict] = []
        self.failed_in: str | None = None

    def origin(self, name: str, axis: int, size: int) -> IntArray | None:
        """Return the units that stay on an axis of the state."""
        labels = self.plan.axes_of_tensor.get(self.plan.aliases.get(name, name), {}).get(axis)
        return np.full(size, NEVER) if labels is None else labels[self.stays[labels]]

    def is_known_as_fixed(self, cells: IntArray) -> bool:
        """Return whether none of the cells could leave."""
        return bool((self._known(cells) == NEVER).all())

    def has_known_units(self, cells: IntArray) -> bool:
        """Return whether some of the cells could leave."""
        return bool((self._known(cells) > NEVER).any())

    def has_decided(self) -> bool:
        """Return whether the first run had to choose here."""
        return self.choice() in self.decisions.taken

    def run(self, call: Call) -> Any:
        """Run an operation, and stop where it isn't the one of the script or can't be run."""
        step = self.script[self.done] if self.done < len(self.script) else None
        if step is None or step.name != call.name:
            self.fail("the network takes another way when it is cut", self._units_of_inputs(call))
        try:
            return super().run(call)
        except FAILURES as reason:
            self.fail(in_words(reason), np.union1d(self._units_of_inputs(call), self._units_of(step)), is_step=True)

    def note(self, call: Call, outs: Sequence[Tensor]) -> None:
        """Compare what an operation made with what it made before the cut."""
        step = self.script[self.done]
        outs_that_count = 1 if "norm" in call.name else None  # a norm's statistics are nothing that goes on
        for out, before, axes in list(zip(outs, step.shapes, step.axes))[:outs_that_count]:  # noqa: B905
            if axes:
                before = tuple(self.expected(axes, dim, size) for dim, size in enumerate(before))
            if out.shape != before:
                text = f"`{call.name}` makes {list(out.shape)} of it where {list(before)} would be left"
                self.fail(text, np.union1d(self._units_of_inputs(call), self._units_of(step)), is_step=True)
        if constants_of(call) != step.constants:
            self._conflict(f"a constant in `{call.name}` follows the width", self._units_of_inputs(call))
        self.done += 1

    def expected(self, axes: Mapping[int, IntArray], dim: int, size: int) -> int:
        """Return the size of an axis after the cut."""
        if dim not in axes:
            return size
        key = id(axes[dim])  # tensors share cells, and the script keeps them
        if key not in self.sizes:
            self.sizes[key] = int(np.count_nonzero(self.stays[self.units[axes[dim]]]))
        return self.sizes[key]

    def fail_outside(self, reason: Exception) -> None:
        """Blame what goes into the module in which code failed that is no operation."""
        every = self._units_around(above(self.failed_in or ""))
        step = self._step_at(reason)
        choices = frozenset[Choice]() if step is None else self.script[step].choices
        text = in_words(reason) + (f" (module {self.failed_in})" if self.failed_in else "")
        is_foreign = step is not None and self._is_foreign(text, self.script[step])
        self.conflicts.append(Conflict(text, every, choices, step, True, self.done, every, is_foreign))

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
        for number in range(self.done, min(self.done + NEAR, len(self.script))):
            place = self.script[number].place
            if place and any(line in found for line in place):
                return number
        return None

    def _clash(self, some: IntArray, others: IntArray) -> None:
        name = self.call.name if self.call else ""
        text = f"`{name}` meets other channels once some have left"
        self._conflict(text, np.union1d(some, others), is_step=name in SIZED)

    def _conflict(self, reason: str, units: IntArray, *, is_step: bool = False) -> None:
        choices = frozenset(self.call.made) if self.call else frozenset[Choice]()
        if self.done < len(self.script):
            choices |= self.script[self.done].choices
        step = self.done if is_step else None
        units = units[units > NEVER]
        every = self._units_of_inputs(self.call) if self.call else units
        is_around = not len(units)  # a size that the code took from elsewhere
        if is_around:
            units = self._units_around(self.modules)
        is_foreign = step is not None and self._is_foreign(reason, self.script[step])
        text = reason + where(self)
        self.conflicts.append(Conflict(text, units, choices, step, is_around, self.done, every, is_foreign))

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

    def left(self, path: str, reason: BaseException) -> None:
        """Learn that a module ended by an error."""
        self.failed_in = path if self.failed_in is None else self.failed_in


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
