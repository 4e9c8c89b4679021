"""Following: what comes behind each convolution of a network, found in one run, function by function."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from elastic.modes import eval_mode
from elastic.tracing import Example
from elastic.tracing.twin import run
from elastic.watching.calls import LAYERS, Call, Watch, names_of

Key = tuple[int, int]  # a tensor's identity, and how often it was changed in place

BOUNDED = frozenset(("relu6", "hardtanh", "sigmoid", "tanh", "hardsigmoid", "softsign"))
UNBOUNDED = frozenset(
    ("relu", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "hardswish", "mish", "softplus")
)


@dataclass(frozen=True)
class Following:
    """What alone reads a convolution's output: a batch norm, and behind it, or at once, an activation.

    `is_bounded` says whether that activation has a least and a largest value; `is_first`, that no other layer made what
    the convolution reads.
    """

    norm: str | None = None
    activation: str | None = None
    is_bounded: bool = False
    is_first: bool = False


def followings(network: nn.Module, example: Example) -> dict[str, Following]:
    """Return what follows each convolution that runs exactly once, by its name. The network stays as it is."""
    watcher = _Watcher(names_of(network))
    with eval_mode(network), torch.no_grad(), Watch(watcher.answer):
        run(network, example)
    return watcher.found()


@dataclass(eq=False)
class _Watcher:
    names: dict[int, str]
    calls: list[tuple[Call, Any]] = field(default_factory=list)  # and what they made; kept so no identity comes twice
    readers: dict[Key, list[int]] = field(default_factory=dict)
    made: list[Key | None] = field(default_factory=list)
    later: set[Key] = field(default_factory=set)  # what a layer has had a part in
    is_first: list[bool] = field(default_factory=list)

    def answer(self, call: Call) -> Any:
        given = {_key(each) for each in _tensors((call.args, dict(call.kwargs)))}
        self.is_first.append(not self.later & given)
        made = call.run()
        found = _tensors(made)
        for key in given if found else ():  # who asks for a shape does not read
            self.readers.setdefault(key, []).append(len(self.calls))
        if call.name in LAYERS or not self.is_first[-1]:
            self.later |= {_key(each) for each in found}
        self.calls.append((call, made))
        self.made.append(_key(made) if isinstance(made, Tensor) else None)
        return made

    def found(self) -> dict[str, Following]:
        """Return what follows each convolution."""
        layers = {
            number: self.names[id(call.get(1, "weight"))].removesuffix(".weight")
            for number, (call, _) in enumerate(self.calls)
            if call.name in LAYERS and call.name != "linear" and id(call.get(1, "weight")) in self.names
        }
        runs = Counter(layers.values())
        return {name: self._following(number) for number, name in layers.items() if runs[name] == 1}

    def _following(self, number: int) -> Following:
        is_first = self.is_first[number]
        norm, last = None, number
        behind = self._reader(number, lambda call: call.name == "batch_norm")
        if behind is not None:
            mean = self.names.get(id(self.calls[behind][0].get(1, "running_mean")))
            if mean is not None:
                norm, last = mean.rpartition(".")[0], behind
        at = self._reader(last, lambda call: _activation(call) is not None)
        activation = None if at is None else _activation(self.calls[at][0])
        return Following(norm, activation, activation in BOUNDED or activation == "clamp", is_first)

    def _reader(self, number: int, is_wanted: Callable[[Call], bool]) -> int | None:
        """Return the only call that reads what a call made, if it is one that is wanted."""
        key = self.made[number]
        readers = [] if key is None else self.readers.get(key, [])
        return readers[0] if len(readers) == 1 and is_wanted(self.calls[readers[0]][0]) else None


def _activation(call: Call) -> str | None:
    name = call.name.removesuffix("_")
    if name == "clamp":
        return "clamp" if call.get(1, "min") is not None and call.get(2, "max") is not None else None
    return name if name in BOUNDED | UNBOUNDED else None


def _tensors(tree: Any) -> list[Tensor]:
    return [each for each in tree_leaves(tree) if isinstance(each, Tensor)]


def _key(tensor: Tensor) -> Key:
    return id(tensor), tensor._version
