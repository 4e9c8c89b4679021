"""Sites: which layers of a network can be fitted, and where: at the sum that a layer's output goes into, else behind
the norm that takes its constant, else at itself.

What lies between a layer and a sum must be undone to carry the sum's error back to the layer: a norm in eval mode, a
scale for each channel, another order of axes. What lies between two layers that follow each other may be anything that
can be run again for some of the images. Found in a run on a few images, by following each layer's output.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from elastic.watching.calls import LAYERS, SUMS, Call, Watch, names_of

Chain = tuple[tuple[int, int], ...]
Key = tuple[int, int]  # a tensor's identity, and how often it was changed in place
NO_KEY: Key = (0, -1)

SCALES = frozenset(("mul", "__mul__", "__rmul__", "mul_", "__imul__"))
SAME = frozenset(("dropout", "contiguous", "alpha_dropout", "feature_dropout", "dropout2d", "identity"))
MOVES = frozenset(("permute", "transpose", "swapaxes", "movedim"))
SHAPES = frozenset(("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"))


@dataclass(frozen=True)
class Site:
    """A layer to fit.

    `chain` are the calls between it and the sum that it goes into, each with the position of the argument that comes
    from the layer; `total` is that sum and `side` which of its operands it is; without a sum what the last call of the
    chain makes is matched, the layer's own output where there is none. `shift` is what takes the constant: a bias, or
    the mean of the norm that comes next, whose sign is the other one; the norm is in the chain. `is_divisible`: from
    some of the images that the layer reads the chain makes what it makes of them among all. `before` is the layer
    whose output comes here and nowhere else, by the calls of `path`, and these are divisible too.
    """

    weight: str
    call: int
    chain: Chain = ()
    total: int | None = None
    side: int = 0
    shift: str | None = None
    is_mean: bool = False
    is_divisible: bool = False
    before: int | None = None
    path: tuple[int, ...] = ()

    @property
    def at(self) -> int:
        """The call at which the layer is fitted."""
        if self.total is not None:
            return self.total
        return self.chain[-1][0] if self.chain else self.call


def find_sites(model: nn.Module, forward: Callable[[], Any], *, repeated: bool = False) -> list[Site]:
    """Return the sites of a network by where their outputs count, those of layers that run several times if asked."""
    watcher = _Watcher(names_of(model))
    with torch.no_grad(), Watch(watcher.answer):
        forward()
    return sorted(watcher.sites(repeated), key=lambda site: (site.at, site.call))


def by_end(sites: Iterable[Site]) -> dict[int, list[Site]]:
    """Return the sites by the call at which they are fitted."""
    found: dict[int, list[Site]] = {}
    for site in sites:
        found.setdefault(site.at, []).append(site)
    return found


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
    """Follows tensors from layer to layer. A tensor that is changed in place is another one from there on."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = names
        self.given: dict[int, Key] = {}  # of the call that runs: its tensors by identity
        self.uses: Counter[Key] = Counter()
        self.runs: Counter[str] = Counter()
        self.carried: dict[Key, tuple[int, Chain]] = {}  # the layer that made it, calls since
        self.led: dict[Key, tuple[int, tuple[int, ...]]] = {}  # the same, with calls of any kind
        self.before: dict[int, tuple[int, tuple[int, ...]]] = {}
        self.calls: dict[int, tuple[Call, Any]] = {}  # and what they made; kept so that no identity is used twice
        self.copies: dict[int, Tensor] = {}  # of what calls made, before it was changed in place
        self.keys: dict[int, Key] = {}  # of what calls made
        self.layers: dict[int, str] = {}
        self.biases: dict[int, str] = {}
        self.norms: dict[int, tuple[str, tuple[int, int]]] = {}  # that come next: the mean, and where in the chain
        self.totals: dict[int, tuple[Chain, int, int]] = {}

    def answer(self, call: Call) -> Any:
        self.given = {id(a): _key(a) for a in (*call.args, *call.kwargs.values()) if isinstance(a, Tensor)}
        made = call.run()
        if isinstance(made, Tensor | tuple | list):  # not a question about its shape
            self.uses.update(self.given.values())
            self.calls[call.number] = (call, made)
        if isinstance(made, Tensor):
            self.keys[call.number] = key = _key(made)
            self._follow(call, made)
            if key in self.carried:  # others are no end of a site
                self.copies[call.number] = made.clone()
        return made

    def sites(self, repeated: bool) -> list[Site]:
        found = []
        for number, weight in self.layers.items():
            if self.runs[weight] > 1 and not repeated:
                continue  # a layer that runs several times has several inputs
            site = self._ended(Site(weight, number, shift=self.biases.get(number)))
            found.append(self._with_before(replace(site, is_divisible=self._is_divisible(site, number))))
        return found

    def _ended(self, site: Site) -> Site:
        """Return a site with where it ends; what also goes elsewhere can't be bent for the sake of an end."""
        ends: list[tuple[Site, Chain]] = []
        if site.call in self.totals:
            chain, total, side = self.totals[site.call]
            ends.append((replace(site, chain=chain, total=total, side=side), chain))
        if site.call in self.norms:
            mean, norm = self.norms[site.call]
            ends.append((replace(site, chain=(norm,)), ()))
            if site.shift is None:
                ends = [(replace(end, shift=mean, is_mean=True), way) for end, way in ends]
        for end, way in ends:
            if not self._goes_elsewhere(site.call, *(number for number, _ in way)):
                return end
        return site

    def _goes_elsewhere(self, *numbers: int) -> bool:
        return any(self.uses[self.keys[number]] > 1 for number in numbers)

    def _with_before(self, site: Site) -> Site:
        before, path = self.before.get(site.call, (None, ()))
        if before is None or self.runs[self.layers[before]] > 1 or self._goes_elsewhere(before, *path):
            return site
        return replace(site, before=before, path=path) if self._is_divisible(site, before, *path, site.call) else site

    def _is_divisible(self, site: Site, *numbers: int) -> bool:
        """Return whether these calls and the chain make of one image what they made of it among all."""
        first = self.calls[numbers[0]][0].args[0]
        part, number = first[:1], numbers[0]
        straight = [(each, 0) for each in numbers]
        try:
            for number, side in (*straight, *site.chain):
                call = self.calls[number][0]
                if len(call.args[side]) != len(first):
                    return False
                part = call.run({side: part})
        except (RuntimeError, ValueError, TypeError, IndexError):
            return False
        whole = self.copies[number][:1]
        return part.shape == whole.shape and bool(torch.allclose(part, whole, rtol=1e-3, atol=1e-5))

    def _follow(self, call: Call, made: Tensor) -> None:
        self._lead(call, made)
        if call.name in LAYERS:
            self._begin(call, made)
        elif call.name in SUMS:
            for side in (0, 1):
                self._end(call, side)
        else:
            for side in (0, 1) if call.name in SCALES else (0,):
                self._pass(call, side, made)

    def _lead(self, call: Call, made: Tensor) -> None:
        led = self.led.get(self._key_of(call, 0))
        if call.name in LAYERS:
            if led is not None:
                self.before[call.number] = led
            if id(call.get(1, "weight")) in self.names:
                self.led[_key(made)] = (call.number, ())
        elif led is not None:
            others = [a for a in (*call.args[1:], *call.kwargs.values()) if isinstance(a, Tensor)]
            if all(id(other) in self.names for other in others):
                self.led[_key(made)] = (led[0], (*led[1], call.number))

    def _pass(self, call: Call, side: int, made: Tensor) -> None:
        given = self._key_of(call, side)
        if given not in self.carried or not self._can_be_undone(call, side, made):
            return
        number, chain = self.carried[given]
        self.carried[_key(made)] = (number, (*chain, (call.number, side)))
        if call.name == "batch_norm" and not chain:
            mean = self.names.get(id(call.get(1, "running_mean")))
            if mean is not None:
                self.norms.setdefault(number, (mean, (call.number, side)))

    def _begin(self, call: Call, made: Tensor) -> None:
        weight = self.names.get(id(call.get(1, "weight")))
        if weight is None:
            return  # a weight that is computed
        self.runs[weight] += 1
        self.layers[call.number] = weight
        self.carried[_key(made)] = (call.number, ())
        if (bias := self.names.get(id(call.get(2, "bias")))) is not None:
            self.biases[call.number] = bias

    def _end(self, call: Call, side: int) -> None:
        given = self._key_of(call, side)
        if given not in self.carried or len(call.args) < 2:
            return
        operand, other = call.args[side], call.args[1 - side]
        if isinstance(other, Tensor) and other.shape == operand.shape and call.get(2, "alpha", 1) == 1:
            number, chain = self.carried[given]
            self.totals.setdefault(number, (chain, call.number, side))

    def _key_of(self, call: Call, side: int) -> Key:
        return self.given.get(id(call.args[side]), NO_KEY) if len(call.args) > side else NO_KEY

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


def _key(tensor: Tensor) -> Key:
    return id(tensor), tensor._version
