"""Call: one operation of a run, as its rule sees it: arguments by name, what follows them, and what a rule may do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from torch import Tensor

from elastic.plan import IntArray
from elastic.tracing.following.followed import NOTHING, Choice, Followed
from elastic.tracing.partition import Partition


@dataclass(frozen=True, eq=False)
class Signature:
    """What an operation's schema says: its name, whether it changes its first argument, where each argument is."""

    name: str  # without the underscore of an operation in place
    is_in_place: bool
    arguments: dict[str, tuple[int, Any]]  # number and default by name


@cache
def signature_of(func: Any) -> Signature:
    """Return the signature of an operation; torch builds a schema anew whenever it is asked."""
    name = func.overloadpacket.__name__
    is_in_place = name.endswith("_") and not name.startswith("__")
    declared = enumerate(func._schema.arguments)
    arguments = {each.name: (number, each.default_value) for number, each in declared}
    return Signature(name.rstrip("_") if is_in_place else name, is_in_place, arguments)


class Book(Protocol):
    """What a call needs of the run that it is part of."""

    partition: Partition

    def followed(self, tensor: Tensor) -> Followed:
        """Return what follows a tensor."""
        ...

    def adopt(self, tensor: Tensor, dim: int, cells: IntArray) -> None:
        """Let an axis of a weight that was not seen yet have cells that are known."""
        ...

    def freeze(self, cells: IntArray, why: str) -> None:
        """Let cells never leave."""
        ...

    def choose(self, options: Sequence[str], cells: IntArray) -> tuple[Choice, str | None]:
        """Return the place of a choice about cells and the option that is taken there, None to freeze."""
        ...

    def is_known_as_fixed(self, cells: IntArray) -> bool:
        """Return whether a run that checks another knows that none of the cells could leave."""
        ...

    def has_known_units(self, cells: IntArray) -> bool:
        """Return whether a run that checks another knows that some of the cells could leave."""
        ...

    def has_decided(self) -> bool:
        """Return whether the run that this one checks had to choose here."""
        ...


class Call:
    """One operation: its name, arguments and output."""

    __slots__ = ("args", "book", "func", "inputs", "kwargs", "made", "name", "out", "signature")

    def __init__(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], book: Book):
        self.signature = signature_of(func)
        self.name = self.signature.name
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.out: Any = None
        self.book = book
        self.made: set[Choice] = set()
        self.inputs: list[Tensor] | None = None

    def __getitem__(self, argument: str) -> Any:
        """Return the value of an argument by the name in the operation's schema, its default where it wasn't given."""
        number, default = self.signature.arguments.get(argument, (len(self.args), None))
        return self.args[number] if number < len(self.args) else self.kwargs.get(argument, default)

    def of(self, value: Any) -> Followed:
        """Return what follows an argument; nothing, where it is no tensor."""
        return self.book.followed(value) if isinstance(value, Tensor) else NOTHING

    def tensors(self) -> list[Tensor]:
        """Return the tensors among the arguments, those in lists too."""
        if self.inputs is None:
            self.inputs = tensors_in((*self.args, *self.kwargs.values()) if self.kwargs else self.args)
        return self.inputs

    def unite(self, some: IntArray, others: IntArray) -> None:
        """Let each cell of one axis be the same as its fellow on another."""
        self.book.partition.unite(some, others)

    def couple_rows(self, rows: IntArray) -> None:
        """Let the cells of each row leave only together; [rows, cells]."""
        if rows.shape[1] > 1:
            self.unite(rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1))

    def new(self, count: int) -> IntArray:
        """Return cells for an axis that takes on whatever it meets."""
        return self.book.partition.new(count)

    def freeze(self, cells: IntArray, why: str = "") -> None:
        """Let cells never leave; `why` is empty where nobody would ask."""
        self.book.freeze(cells, why)

    def freeze_all(self, followed: Followed, why: str) -> None:
        """Let no axis lose anything."""
        for cells in followed.axes.values():
            self.freeze(cells, why)

    def without(self, followed: Followed, dims: set[int], why: str) -> Followed:
        """Let some axes lose nothing, and return the same without their cells."""
        for dim in dims & set(followed.axes):
            self.freeze(followed.axes[dim], why)
        return followed.with_axes({dim: cells for dim, cells in followed.axes.items() if dim not in dims})

    def choose(self, options: Sequence[str], cells: IntArray) -> str | None:
        """Return which way an axis is taken apart; None where none is left."""
        place, taken = self.book.choose(options, cells)
        self.made.add(place)
        return taken

    def meet(self, some: IntArray | None, others: IntArray | None) -> IntArray | None:
        """Unite two axes that have the same positions and return their cells; one that is fixed fixes the other."""
        if some is not None and others is not None:
            self.unite(some, others)
            return some
        if (known := some if others is None else others) is not None:
            why = next(
                (each.why for each in map(self.of, self.tensors()) if each.why), "it meets an axis of fixed size"
            )
            self.freeze(known, f"{why} in `{self.name}`")
        return None


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors in nested arguments, in order."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value)
    return found
