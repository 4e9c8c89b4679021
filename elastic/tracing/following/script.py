"""Script: what a run did, step by step, and what was decided where it could have gone several ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from elastic.plan import IntArray
from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Choice
from elastic.tracing.following.places import Place
from elastic.tracing.following.rules import RULES

SizeKey = tuple[str | int, int]  # number of an output and of its axis; or "end" of a slice, and which

# Operations whose sizes a network gives in numbers: those that a cut might not change as it should.
SIZED = frozenset({
    "view", "_unsafe_view", "reshape", "expand", "slice", "split", "split_with_sizes", "unsafe_split", "narrow",
    "select", "new_zeros", "new_ones", "new_empty", "new_full", "zeros", "ones", "full", "empty", "repeat",
    "constant_pad_nd", "unfold", "as_strided",
})  # fmt: skip


@dataclass(eq=False, slots=True)
class Step:
    """One operation of a run: where it was, and the shapes and cells of what it made."""

    name: str
    module: str
    shapes: tuple[tuple[int, ...], ...]
    axes: tuple[Mapping[int, IntArray], ...]
    constants: tuple[float, ...]
    place: Place | None  # of an operation whose sizes are given in code
    sizes: Mapping[SizeKey, tuple[int, IntArray]]  # given in code, and the cells that each counts
    choices: frozenset[Choice]


@dataclass(eq=False)
class Decisions:
    """Which option is taken at each choice, and which were tried."""

    taken: dict[Choice, str | None] = field(default_factory=dict)
    tried: dict[Choice, list[str]] = field(default_factory=dict)
    options: dict[Choice, list[str]] = field(default_factory=dict)

    def next(self, choice: Choice) -> None:
        """Change to the next option that wasn't tried; none is left at last."""
        left = [option for option in self.options.get(choice, []) if option not in self.tried.get(choice, [])]
        self.taken[choice] = left[0] if left else None
        self.tried.setdefault(choice, []).extend(left[:1])


def constants_of(call: Call) -> tuple[float, ...]:
    """Return the numbers that an operation computes with, which may not follow a width: scales, exponents, eps."""
    counts_integers = call.name not in RULES or call.name in ("mul", "div", "add", "sub")
    found, single = [], []
    for value in (*call.args, *call.kwargs.values()) if call.kwargs else call.args:
        kind = type(value)
        if kind is float or (counts_integers and kind is int):
            found.append(float(value))
        elif isinstance(value, Tensor) and not value.is_meta and value.dim() == 0:
            single.append(value)
    if single and any(tensor.is_meta for tensor in call.tensors()):  # where activations have values, these are such
        found += [value.item() for value in single]
    return tuple(found)


def sizes_of(
    call: Call, shapes: Sequence[tuple[int, ...]], axes: Sequence[Mapping[int, IntArray]]
) -> dict[SizeKey, tuple[int, IntArray]]:
    """Return the sizes that an operation makes of axes with cells, and the positions at which it cuts one."""
    found: dict[SizeKey, tuple[int, IntArray]] = {
        (number, dim): (shape[dim], cells)
        for number, (shape, each) in enumerate(zip(shapes, axes, strict=True))
        for dim, cells in each.items()
    }
    if call.name == "slice" and (cells := call.of(call.args[0]).axes.get(int(call["dim"] or 0))) is not None:
        ends = (call["start"], call["end"])
        found |= {("end", n): (end, cells[:end]) for n, end in enumerate(ends) if end and 0 < end < len(cells)}
    return found
