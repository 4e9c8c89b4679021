"""Live: which tensor, and which width, every module of a network has at every level; switching is setting them.

All is found out when levels are loaded. A switch then only puts other tensors into the modules' own dictionaries.
Levels of few bits are made at each switch, in the order of the file, and gone after the next: `packed.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elastic.metadata.schema import names_at
from elastic.plain import LIVE
from elastic.quantise.layers import put_quantisers
from elastic.runtime.packed import PackedLevel, Quantisers
from elastic.runtime.skeletons import Value, Widths
from elastic.runtime.stores import Key, Stores


@dataclass(eq=False)
class Live:
    """The tensors of a network at each level, and how it is switched."""

    stores: Stores
    widths: Sequence[Widths]  # that modules keep, by level
    level: int
    packed: Mapping[int, PackedLevel]  # levels of few bits
    tensors: dict[tuple[Key, int], Tensor] = field(default_factory=dict)  # by store and level
    homes: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)  # of tensors: by name
    swaps: dict[int, list[tuple[dict[str, Any], str, Tensor]]] = field(default_factory=dict)  # by level
    settings: list[list[tuple[dict[str, Any], str, Value]]] = field(default_factory=list)
    copies: dict[int, list[tuple[str, Tensor]]] = field(default_factory=dict)  # tensors that are no views, by level
    quantisers: dict[int, Quantisers] = field(default_factory=dict)  # by level of few bits
    places: dict[int, dict[str, dict[int, Tensor]]] = field(default_factory=dict)  # in the stores, of its tensors
    caches: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)  # of copies, when they were made
    learn: dict[str, bool] = field(default_factory=dict)  # what needs gradients again behind a level of few bits

    def settle(self, network: nn.Module) -> None:
        """Find out what a switch to each level has to set, and put the current level's tensors into the network."""
        self.make_plain(network)
        held = tensors_of(network)
        names, aliases = self.stores.layout.names, self.stores.layout.header.aliases
        of_floats = [level for level in range(self.stores.top + 1) if level not in self.packed]
        for name in names:
            for level in of_floats:
                self._view(name, level, held[name])
        self.homes = homes = {name: _home(network, name) for name in self.stores.layout.header.names}
        self.swaps = {
            level: [(*homes[name], self.tensors[self._place(aliases.get(name, name), level)]) for name in homes]
            for level in of_floats
        }
        self.copies = {
            level: [
                (name, self.tensors[self._place(name, level)]) for name in names if not self.stores.is_view(name, level)
            ]
            for level in of_floats
        }
        self._find_settings(network)
        here = {level: each for level, each in self.packed.items() if level <= self.stores.top}
        self.quantisers = {level: each.quantisers(network) for level, each in here.items()}
        self.places = {level: self.stores.places_in_order(level) for level in here}
        if not self.packed:  # from which everything comes back
            self._keep_what_differs()
        self.caches = [held for module in network.modules() for held in _caches(module)]
        level, self.level = self.level, -1
        self.switch(network, level)

    def copied(self, network: nn.Module) -> "Live":
        """Return the same for a copy of the network, with tensors of its own."""
        self._write_back(self.level)
        own = {key: tensor.detach().clone() for key, tensor in self.stores.tensors.items()}
        found = Live(Stores(self.stores.layout, self.stores.top, own), self.widths, self.level, self.packed)
        found.learn = dict(self.learn)
        found.settle(network)
        return found

    def grow(self, network: nn.Module, top: int) -> None:
        """Change what is stored to hold all levels up to `top`; what was trained stays as it is."""
        self._write_back(self.level)
        self.stores.read(top, tensors_of(network))
        self.settle(network)

    def switch(self, network: nn.Module, level: int) -> None:
        """Change the network to a level. Raises FileFormatError for packed weights that are not whole."""
        if level == self.level:
            return
        self._write_back(self.level)
        swaps = self._unpacked(level) if level in self.packed else self.swaps[level]
        self.make_plain(network)
        for home, name, tensor in swaps:
            home[name] = tensor
        for home, name, value in self.settings[level]:
            home[name] = value
        if level in self.packed:
            for quantisers in self.quantisers[level]:
                put_quantisers(*quantisers)
        else:
            self.learn = {}
            self._make_copies(level)
        for held in self.caches:
            held.clear()
        self.level = level

    def make_plain(self, network: nn.Module) -> None:
        """Change a network at a level of few bits to one whose layers don't round."""
        if self.level in self.packed:
            self.packed[self.level].take_from(network)

    def state(self, level: int) -> dict[str, Tensor]:
        """Return the state dict of a level in the order of the file, detached; some share memory with the network.

        Of a level of few bits what a network of floats has too.
        """
        self._write_back(self.level)
        header = self.stores.layout.header
        if level in self.packed:
            own = self._shared(level) | self.packed[level].tensors()
        else:
            stores = self.stores
            own = {name: stores.in_order(name, level, stores.tensor(name, level)) for name in stores.layout.names}
        return {name: own[header.aliases.get(name, name)] for name in header.names}

    def kept(self, level: int) -> dict[str, Tensor]:
        """Return the state dict of a level as files keep it, which is packed where it is of few bits."""
        if level not in self.packed:
            return self.state(level)
        own = self._shared(level) | dict(self.packed[level].kept)
        return {name: own[first] for name, first in names_at(self.stores.layout.header, level).items()}

    def apply(self, change: Any) -> None:
        """Change everything that is stored, as `nn.Module._apply` does."""
        self._write_back(self.level)
        with torch.no_grad():
            for key, tensor in self.stores.tensors.items():
                self.stores.tensors[key] = change(tensor)
            self.packed = {level: each.changed(change) for level, each in self.packed.items()}

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
            self.tensors[place] = nn.Parameter(value, self.learn.get(name, like.requires_grad))
        else:
            self.tensors[place] = value.detach()

    def _write_back(self, level: int) -> None:
        """Change the stores to what copies of a level are, where these were changed since."""
        for name, tensor in self.copies.get(level, ()):
            if tensor._version != self.versions.get(id(tensor)):
                self.stores.put(name, level, tensor.detach())

    def _make_copies(self, level: int) -> None:
        for name, tensor in self.copies[level]:
            tensor.data = self.stores.tensor(name, level)
            self.versions[id(tensor)] = tensor._version

    def _shared(self, level: int) -> dict[str, Tensor]:
        """Return what a level of few bits has in the stores, in the order of the file."""
        found = {}
        for name, places in self.places[level].items():
            found[name] = self.stores.tensors[self.stores.key(name, level)]
            for axis, of_axis in places.items():
                found[name] = found[name].index_select(axis, of_axis)
        return found

    def _unpacked(self, level: int) -> list[tuple[dict[str, Any], str, Tensor]]:
        """Return what a switch to a level of few bits has to set; none of it needs gradients."""
        found, made = [], dict[int, Tensor]()
        for name, tensor in self.state(level).items():
            home, local = self.homes[name]
            if isinstance(old := home[local], nn.Parameter):
                self.learn.setdefault(name, old.requires_grad)
                tensor = made.setdefault(id(tensor), nn.Parameter(tensor, requires_grad=False))  # tied ones stay tied
            found.append((home, local, tensor))
        return found

    def _find_settings(self, network: nn.Module) -> None:
        modules = dict(network.named_modules(remove_duplicate=False))
        self.settings = [
            [(modules[path].__dict__, name, value) for (path, name), value in self.widths[level].items()]
            for level in range(self.stores.top + 1)
        ]

    def _keep_what_differs(self) -> None:
        """Leave out of the swaps what is the same tensor at every level."""
        same = [len({id(each[2]) for each in row}) == 1 for row in zip(*self.swaps.values(), strict=True)]
        for level, swaps in self.swaps.items():
            for (home, name, tensor), is_same in zip(swaps, same, strict=True):
                if is_same:
                    home[name] = tensor
            self.swaps[level] = [each for each, is_same in zip(swaps, same, strict=True) if not is_same]


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


def _caches(module: nn.Module) -> list[dict[str, Any]]:
    """Return dictionaries in which a module may keep what it computed from its weights."""
    return [
        held
        for name, held in vars(module).items()
        if type(held) is dict and not name.startswith("_") and all(isinstance(value, Tensor) for value in held.values())
    ]
