"""Sites: which layers of a network can be fitted, and where: at the sum that a layer's output goes into, or at itself.

What lies between a layer and a sum must be undone to carry the sum's error back to the layer: a norm in eval mode, a
scale for each channel, another order of axes. Found in a run on a few images, by following each layer's output.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elastic.recovery.calls import LAYERS, SUMS, Call, Watch, names_of

Chain = tuple[tuple[int, int], ...]

SCALES = frozenset(("mul", "__mul__", "__rmul__", "mul_", "__imul__"))
SAME = frozenset(("dropout", "contiguous", "alpha_dropout", "feature_dropout", "dropout2d", "identity"))
MOVES = frozenset(("permute", "transpose", "swapaxes", "movedim"))
SHAPES = frozenset(("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"))


@dataclass(frozen=True)
class Site:
    """A layer to fit.

    `chain` are the calls between it and the sum that it goes into, each with the position of the argument that comes
    from the layer; `total` is that sum and `side` which of its operands it is; without a sum the layer's own output is
    what is matched. `shift` is what takes the constant: a bias, or the mean of the norm that comes next, whose sign is
    the other one.
    """

    weight: str
    call: int
    chain: Chain = ()
    total: int | None = None
    side: int = 0
    shift: str | None = None
    is_mean: bool = False

    @property
    def at(self) -> int:
        """The call at which the layer is fitted."""
        return self.call if self.total is None else self.total


def find_sites(model: nn.Module, forward: Callable[[], Any]) -> list[Site]:
    """Return the sites of a network in the order in which they are fitted, each layer that runs once."""
    watcher = _Watcher(names_of(model))
    with torch.no_grad(), Watch(watcher.answer):
        forward()
    return sorted(watcher.sites(), key=lambda site: (site.at, site.call))


def undone(call: Call, side: int, error: Tensor) -> Tensor:
    """Return the error of an argument of a call that makes an error of its output."""
    if call.name == "batch_norm":
        variance, weight, eps = call.get(2, "running_var"), call.get(3, "weight"), call.get(7, "eps", 1e-5)
        gain = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
        return error / gain.view(1, -1, *[1] * (error.dim() - 2))
    if call.name in SCALES:
        scaled: Tensor = error / call.args[1 - side]
        return scaled
    if call.name in MOVES:
        places = torch.empty([2 + dim for dim in range(error.dim())], device="meta")
        order = [size - 2 for size in call.run({0: places}).shape]
        return error.permute([order.index(dim) for dim in range(error.dim())])
    return error.reshape(call.args[0].shape) if call.name in SHAPES else error


class _Watcher:
    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = names
        self.alive: list[Any] = []  # so that no identity is used twice
        self.uses: Counter[int] = Counter()
        self.runs: Counter[str] = Counter()
        self.carried: dict[int, tuple[int, Chain]] = {}  # by tensor: the layer that made it, calls since
        self.layers: dict[int, str] = {}
        self.shifts: dict[int, tuple[str, bool]] = {}
        self.totals: dict[int, tuple[Chain, int, int, list[int]]] = {}

    def answer(self, call: Call) -> Any:
        made = call.run()
        if isinstance(made, Tensor | tuple | list):  # not a question about its shape
            for tensor in (a for a in (*call.args, *call.kwargs.values()) if isinstance(a, Tensor)):
                self.uses[id(tensor)] += 1
            self.alive += [made, call]
        if isinstance(made, Tensor):
            self._follow(call, made)
        return made

    def sites(self) -> list[Site]:
        found = []
        for number, weight in self.layers.items():
            if self.runs[weight] > 1:
                continue  # a layer that runs several times has several inputs
            shift, is_mean = self.shifts.get(number, (None, False))
            chain, total, side, passed = self.totals.get(number, ((), None, 0, []))
            if any(self.uses[tensor] > 1 for tensor in passed):
                chain, total, side = (), None, 0  # what goes elsewhere too can't be bent for a sum
            found.append(Site(weight, number, chain, total, side, shift, is_mean))
        return found

    def _follow(self, call: Call, made: Tensor) -> None:
        if call.name in LAYERS:
            self._begin(call, made)
        elif call.name in SUMS:
            for side in (0, 1):
                self._end(call, side)
        else:
            for side in (0, 1) if call.name in SCALES else (0,):
                self._pass(call, side, made)

    def _pass(self, call: Call, side: int, made: Tensor) -> None:
        given = call.args[side] if len(call.args) > side else None
        if id(given) not in self.carried or not self._can_be_undone(call, side, made):
            return
        number, chain = self.carried[id(given)]
        self.carried[id(made)] = (number, (*chain, (call.number, side)))
        if call.name == "batch_norm" and not chain and number not in self.shifts:
            mean = self.names.get(id(call.get(1, "running_mean")))
            if mean is not None:
                self.shifts[number] = (mean, True)

    def _begin(self, call: Call, made: Tensor) -> None:
        weight = self.names.get(id(call.get(1, "weight")))
        if weight is None:
            return  # a weight that is computed
        self.runs[weight] += 1
        self.layers[call.number] = weight
        self.carried[id(made)] = (call.number, ())
        if (bias := self.names.get(id(call.get(2, "bias")))) is not None:
            self.shifts[call.number] = (bias, False)

    def _end(self, call: Call, side: int) -> None:
        operand = call.get(side, "other")
        if not isinstance(operand, Tensor) or id(operand) not in self.carried:
            return
        number, chain = self.carried[id(operand)]
        other = call.get(1 - side, "other")
        if isinstance(other, Tensor) and other.shape == operand.shape and call.get(2, "alpha", 1) == 1:
            passed = [tensor for tensor, (layer, _) in self.carried.items() if layer == number]
            self.totals.setdefault(number, (chain, call.number, side, passed))

    def _can_be_undone(self, call: Call, side: int, made: Tensor) -> bool:
        if call.name == "batch_norm":
            return not call.get(5, "training", False) and call.get(2, "running_var") is not None
        if call.name in SCALES:
            scale = call.args[1 - side]
            is_constant = isinstance(scale, int | float) or id(scale) in self.names
            return is_constant and made.shape == call.args[side].shape
        if call.name in SAME:
            return made.shape == call.args[0].shape and bool(torch.equal(made, call.args[0]))
        return call.name in MOVES or (call.name in SHAPES and made.numel() == call.args[0].numel())
