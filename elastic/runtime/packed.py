"""Packed: a level of few bits of a live network, as its file has it, and the network with that level's layers.

Weights are unpacked once for each switch, not in every run: a run takes as long as that of the level alone, and what is
unpacked of one such level is held while the network is at it. All of it is in the order of the file: sums that are
added up in another order would now and then round to another level.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import FileFormatError, LiveNetwork
from elastic.metadata import read_level
from elastic.quantise.activations import InputQuantiser
from elastic.quantise.keeping import SIGNED, SIZE, STEP, absent_names, own_names, quantisers_of, weights_of
from elastic.quantise.layers import QuantisedLayer, take_quantisers
from elastic.quantise.packing import LEVELS, of_layer
from elastic.quantise.weights import WeightQuantiser
from elastic.runtime.stores import Layout, shape_at
from elastic.tensors import restored
from elastic.told import GATED, QUANTISED, told_of_level

Quantisers = list[tuple[nn.Module, InputQuantiser, WeightQuantiser]]  # of layers


@dataclass(frozen=True, eq=False)
class PackedLevel:
    """What no other level has: packed weights, steps, norms, say; nobody changes it."""

    file: str
    layers: Mapping[str, Any]  # bits and shape of each, as the file says
    kept: Mapping[str, Tensor]  # views of the file
    like: Mapping[str, Tensor]  # without elements, of the devices and dtypes that the network's tensors are to have

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, unpacked, and what else a network of floats has too.

        Raises FileFormatError if weights are not whole.
        """
        unpacked = weights_of(self.kept, self.layers, self.file)
        own = set(own_names(self.layers))
        found = {name: tensor for name, tensor in self.kept.items() if name not in own} | unpacked
        return {name: tensor.to(self.like[name].device, self.like[name].dtype) for name, tensor in found.items()}

    def quantisers(self, network: nn.Module) -> Quantisers:
        """Return which layers of a network of floats have which quantisers at the level."""
        found = quantisers_of(network, self.kept, self.layers, self.file)
        for name, (_, *both) in zip(self.layers, found, strict=True):
            for quantiser, what in ((both[0], SIZE), (both[0], SIGNED), (both[1], STEP)):
                like, local = self.like[of_layer(name, what)], what.rpartition(".")[2]
                quantiser._buffers[local] = quantiser.get_buffer(local).to(like.device, like.dtype)
        return found

    def take_from(self, network: nn.Module) -> None:
        """Change a network whose layers round to one of plain layers, with the weights that it has."""
        for name in self.layers:
            layer = network.get_submodule(name)
            if isinstance(layer, QuantisedLayer):
                take_quantisers(layer)

    def changed(self, change: Callable[[Tensor], Tensor]) -> "PackedLevel":
        """Return the level for a network whose devices or dtypes were changed."""
        return replace(self, like={name: change(tensor) for name, tensor in self.like.items()})


def packed_levels(network: nn.Module, layout: Layout, *, keeps_dtypes: bool) -> dict[int, PackedLevel]:
    """Return the levels of few bits of a file, by number, for a network of floats of the same kind.

    What it has itself gets its dtypes, or with `keeps_dtypes` those of the file.

    Raises LiveNetwork for a level that is of another make than few bits, FileFormatError if what is said of layers is
    not what the network has.
    """
    return {level: _packed(network, layout, level, keeps_dtypes) for level in layout.alone}


def _packed(network: nn.Module, layout: Layout, level: int, keeps_dtypes: bool) -> PackedLevel:
    of, file = layout.header.levels[level], str(layout.path)
    told = told_of_level(layout.header, level)
    if GATED in told:
        raise LiveNetwork(
            f"{file}: level {of.name!r} has gates that inputs decide, which a live network can't put in and take out; "
            "`elastic.checkpoint.load` gives that level's network"
        )
    layers = told.get(QUANTISED, {})
    if not layers or set(absent_names(layers)) != set(of.absent):
        raise LiveNetwork(
            f"{file}: level {of.name!r} has tensors of its own that are not said to be weights of few bits; no live "
            "network can be that level, `elastic.metadata.read_level` gives its tensors"
        )
    kept = {name: restored(each) for name, each in read_level(layout.path, level, layout.alone[level]).items()}
    quantisers_of(network, kept, layers, file)  # or it says why not
    state = network.state_dict()
    for name, each in layers.items():
        weight = of_layer(name, "weight")
        if list(each["shape"]) != shape_at(layout, weight, level, state[weight].shape):
            raise FileFormatError(f"{file}: {weight} of level {of.name!r} has another shape than its units; damaged")
    dtypes = {name: tensor.dtype for name, tensor in kept.items() if not name.endswith(LEVELS)}
    dtypes |= {of_layer(name, "weight"): kept[of_layer(name, STEP)].dtype for name in layers}
    if not keeps_dtypes:
        dtypes |= {name: tensor.dtype for name, tensor in state.items() if name in dtypes}
    device = next(iter(state.values())).device
    return PackedLevel(file, layers, kept, {n: torch.empty(0, dtype=d, device=device) for n, d in dtypes.items()})
