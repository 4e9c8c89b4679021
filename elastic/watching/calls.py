"""Calls: what a network does, function by function, as it does it.

A function mode sees convolutions, linear layers, norms and sums with their arguments as the code gives them. Two
networks of the same code make the same calls, so a call is known by its number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LAYERS = frozenset(("conv1d", "conv2d", "conv3d", "linear"))
SUMS = frozenset(("add", "__add__", "__radd__", "add_", "__iadd__"))


@dataclass(eq=False, slots=True)
class Call:
    """One call: its number, the function and what it was given."""

    number: int
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The function's name: `conv2d`, `__iadd__`."""
        return getattr(self.func, "__name__", "")

    def run(self, changed: Mapping[int, Any] | None = None) -> Any:
        """Return what the function makes, with other arguments at the positions that are given."""
        args = [(changed or {}).get(position, value) for position, value in enumerate(self.args)]
        return self.func(*args, **self.kwargs)

    def with_first(self, value: Any) -> "Call":
        """Return the same call with another first argument."""
        return replace(self, args=(value, *self.args[1:]))

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument by its position or its name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)


class Watch(TorchFunctionMode):
    """Counts the calls of a run; `answer` gives what a call makes, or NotImplemented to let it run."""

    def __init__(self, answer: Callable[[Call], Any]) -> None:
        super().__init__()
        self.answer = answer
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = Call(self.count, func, args, kwargs or {})
        if call.name in ("__get__", "__set__"):  # attributes of tensors, such as shape
            return call.run()
        self.count += 1
        made = self.answer(call)
        return call.run() if made is NotImplemented else made


def names_of(model: nn.Module) -> dict[int, str]:
    """Return the names of a model's parameters and buffers by their identity."""
    named: list[tuple[str, Tensor]] = [*model.named_parameters(), *model.named_buffers()]
    return {id(tensor): name for name, tensor in named}
