"""Live: which tensor, and which width, every module of a network has at every level; switching is setting them.

All is found out when levels are loaded. A switch then only puts other tensors into the modules' own dictionaries.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elastic.attention import set_all_free
from elastic.fitting import fit
from elastic.plain import LIVE
from elastic.runtime.stores import Key, Layout, Stores

Value = int | tuple[Any, ...] | list[Any]
Widths = Mapping[tuple[str, str], Value]  # by a module's path and an attribute's name


@dataclass(eq=False)
class Live:
    """The tensors of a network at each level, and how it is switched."""

    stores: Stores
    widths: Sequence[Widths]  # that modules keep, by level
    level: int
    tensors: dict[tuple[Key, int], Tensor] = field(default_factory=dict)  # by store and level
    swaps: list[list[tuple[dict[str, Any], str, Tensor]]] = field(default_factory=list)
    settings: list[list[tuple[dict[str, Any], str, Value]]] = field(default_factory=list)
    copies: list[list[tuple[str, Tensor]]] = field(default_factory=list)  # tensors that are no views, by level
    caches: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)  # of copies, when they were made

    def settle(self, network: nn.Module) -> None:
        """Find out what a switch to each level has to set, and put the current level's tensors into the network."""
        held = tensors_of(network)
        aliases = self.stores.layout.header.aliases
        top = self.stores.top
        for name in self.stores.layout.starts[0]:
            own = held[name]
            for level in range(top + 1):
                self._view(name, level, own)
        homes = {name: _home(network, name) for name in self.stores.layout.header.names}
        self.swaps = [
            [(*homes[name], self.tensors[self._place(aliases.get(name, name), level)]) for name in homes]
            for level in range(top + 1)
        ]
        self.copies = [
            [
                (name, self.tensors[self._place(name, level)])
                for name in self.stores.layout.starts[0]
                if not self.stores.is_view(name, level)
            ]
            for level in range(top + 1)
        ]
        self._find_settings(network)
        self._keep_what_differs()
        self.caches = [held for module in network.modules() for held in _caches(module)]
        level, self.level = self.level, -1
        self.switch(level)

    def copied(self, network: nn.Module) -> "Live":
        """Return the same for a copy of the network, with tensors of its own."""
        self._write_back(self.level)
        own = {key: tensor.detach().clone() for key, tensor in self.stores.tensors.items()}
        found = Live(Stores(self.stores.layout, self.stores.top, own), self.widths, self.level)
        found.settle(network)
        return found

    def grow(self, network: nn.Module, top: int) -> None:
        """Change what is stored to hold all levels up to `top`; what was trained stays as it is."""
        self._write_back(self.level)
        self.stores.read(top, tensors_of(network))
        self.settle(network)

    def switch(self, level: int) -> None:
        """Change the network to a level."""
        if level == self.level:
            return
        if self.level >= 0 and self.copies[self.level]:
            self._write_back(self.level)
        for home, name, tensor in self.swaps[level]:
            home[name] = tensor
        for home, name, value in self.settings[level]:
            home[name] = value
        if self.copies[level]:
            self._make_copies(level)
        for held in self.caches:
            held.clear()
        self.level = level

    def state(self, level: int) -> dict[str, Tensor]:
        """Return the state dict of a level in the order of the file, detached; some share memory with the network."""
        self._write_back(self.level)
        header, stores = self.stores.layout.header, self.stores
        own = {name: stores.in_order(name, level, stores.tensor(name, level)) for name in stores.layout.starts[0]}
        return {name: own[header.aliases.get(name, name)] for name in header.names}

    def apply(self, change: Any) -> None:
        """Change everything that is stored, as `nn.Module._apply` does."""
        self._write_back(self.level)
        with torch.no_grad():
            for key, tensor in self.stores.tensors.items():
                self.stores.tensors[key] = change(tensor)

    def _place(self, name: str, level: int) -> tuple[Key, int]:
        """Return under which store and level a tensor is filed: levels that have all the same places share one."""
        key = self.stores.key(name, level)
        if not self.stores.is_view(name, level):
            return key, level
        shape = self.stores.tensor(name, level).shape
        same = (
            lower
            for lower in range(key[1], level)
            if self.stores.is_view(name, lower) and self.stores.tensor(name, lower).shape == shape
        )
        return key, next(same, level)

    def _view(self, name: str, level: int, like: Tensor) -> None:
        place = self._place(name, level)
        value = self.stores.tensor(name, level)
        if place in self.tensors:
            self.tensors[place].data = value
        elif isinstance(like, nn.Parameter):
            self.tensors[place] = nn.Parameter(value, like.requires_grad)
        else:
            self.tensors[place] = value.detach()

    def _write_back(self, level: int) -> None:
        """Change the stores to what copies of a level are, where these were changed since."""
        for name, tensor in self.copies[level] if level >= 0 else ():
            if tensor._version != self.versions.get(id(tensor)):
                self.stores.put(name, level, tensor.detach())

    def _make_copies(self, level: int) -> None:
        for name, tensor in self.copies[level]:
            tensor.data = self.stores.tensor(name, level)
            self.versions[id(tensor)] = tensor._version

    def _find_settings(self, network: nn.Module) -> None:
        modules = dict(network.named_modules(remove_duplicate=False))
        self.settings = [
            [(modules[path].__dict__, name, value) for (path, name), value in self.widths[level].items()]
            for level in range(self.stores.top + 1)
        ]

    def _keep_what_differs(self) -> None:
        """Leave out of the swaps what is the same tensor at every level."""
        same = [len({id(each[2]) for each in row}) == 1 for row in zip(*self.swaps, strict=True)]
        for level, swaps in enumerate(self.swaps):
            for (home, name, tensor), is_same in zip(swaps, same, strict=True):
                if is_same:
                    home[name] = tensor
            self.swaps[level] = [each for each, is_same in zip(swaps, same, strict=True) if not is_same]


def widths_of(
    network: nn.Module, layout: Layout, attributes: Mapping[int, Mapping[tuple[str, str], int]]
) -> list[Widths]:
    """Return the numbers that modules keep at each level and that differ between levels.

    They are found on copies of the network, which is of the largest level, without memory for weights. `attributes`
    are those of a level that no shape tells. Attentions that have to be free are made so, in the network too.
    """
    levels = range(len(layout.header.levels))
    skeletons = [_skeleton(network, layout, level, attributes.get(level, {})) for level in levels]
    pairs = zip(network.modules(), skeletons[0].modules(), strict=True)
    if any(type(own) is nn.MultiheadAttention and type(cut) is not type(own) for own, cut in pairs):
        set_all_free(network)
        skeletons = [_skeleton(network, layout, level, attributes.get(level, {})) for level in levels]
    found = [_numbers(skeleton) for skeleton in skeletons]
    changing = [key for key in found[0] if any(each[key] != found[0][key] for each in found)]
    return [{key: each[key] for key in changing} for each in found]


def _skeleton(network: nn.Module, layout: Layout, level: int, attributes: Mapping[tuple[str, str], int]) -> nn.Module:
    """Return the network of a level on the meta device."""
    memo: dict[int, Any] = {}
    for tensor in [*network.parameters(), *network.buffers()]:
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
    state = {}
    for name, tensor in network.state_dict().items():
        shape = list(tensor.shape)
        for axis, levels in layout.axes.get(layout.header.aliases.get(name, name), {}).items():
            shape[axis] = int((levels <= level).sum())
        state[name] = torch.empty(shape, device="meta")
    return fit(copy.deepcopy(network, memo), state, attributes)


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of a network, tied ones under each of their names."""
    return {**dict(network.named_parameters(remove_duplicate=False)), **dict(network.named_buffers())}


def own_class(network: nn.Module) -> type[nn.Module]:
    """Return the class that a network had before it was made elastic."""
    return next(each for each in type(network).__mro__ if not hasattr(each, LIVE))


def _home(network: nn.Module, name: str) -> tuple[dict[str, Any], str]:
    """Return the dictionary of a module in which a tensor is, and its name there."""
    path, _, local = name.rpartition(".")
    module = network.get_submodule(path)
    return (module._parameters if local in module._parameters else module._buffers), local


def _numbers(network: nn.Module) -> dict[tuple[str, str], Value]:
    """Return what modules keep beside their tensors that could be a width, by path and name."""
    return {
        (path, name): value
        for path, module in network.named_modules(remove_duplicate=False)
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training" and _is_of_numbers(value)
    }


def _is_of_numbers(value: object) -> bool:
    return type(value) is int or (isinstance(value, tuple | list) and all(_is_of_numbers(each) for each in value))


def _caches(module: nn.Module) -> list[dict[str, Any]]:
    """Return dictionaries in which a module may keep what it computed from its weights."""
    return [
        held
        for name, held in vars(module).items()
        if type(held) is dict and not name.startswith("_") and all(isinstance(value, Tensor) for value in held.values())
    ]
