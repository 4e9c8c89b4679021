"""Makes: a network that is no plain one as a level of a file, taken apart into tensors and plain data, and made again.

A level of another make has tensors of its own, and may lack weights that these stand for. What they mean is plain data
in the recipe (`elastic.told`), under a key for each way to be of another make: layers that round, and on top of plain
or rounding ones gates. Whatever is done with such levels goes through here, for all of these ways alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from elastic.dynamic.keeping import gate_names, gates_told, with_gates
from elastic.quantise.keeping import absent_names, layers_told, own_names, weights_of, with_levels
from elastic.quantise.packing import packed_state
from elastic.told import GATED, KEYS, QUANTISED, Told


@dataclass(frozen=True, eq=False)
class KeptLevel:
    """A network taken apart."""

    shared: Mapping[str, Tensor]  # what every network of its kind has, but for what is absent
    own: Mapping[str, Tensor]
    absent: tuple[str, ...]
    told: Told


def kept_level(network: nn.Module) -> KeptLevel:
    """Return a quantised or gated network taken apart; of a plain one nothing is its own."""
    state, layers, gates = kept_state(network), layers_told(network), gates_told(network)
    own = {name: state.pop(name) for name in (*own_names(layers), *gate_names(state, gates))}
    told = {key: what for key, what in ((QUANTISED, layers), (GATED, gates)) if what}
    return KeptLevel(state, own, absent_names(layers), told)


def kept_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a network as it is kept: weights that are rounded packed, all else as it is."""
    return packed_state(network) if layers_told(network) else network.state_dict()


def is_gated(network: nn.Module) -> bool:
    """Return whether a network has gates that inputs decide."""
    return bool(gates_told(network))


def stood_for(own: Mapping[str, Tensor], told: Told, file: str) -> dict[str, Tensor]:
    """Return the weights that a level's own tensors stand for, by name. FileFormatError if they are damaged."""
    return weights_of(own, told.get(QUANTISED, {}), file)


def put_together(network: nn.Module, own: Mapping[str, Tensor], told: Told, file: str) -> nn.Module:
    """Change a plain network with a level's weights to what the level is, and return it, in eval mode.

    Raises FileFormatError if what is told can't be read, or is not of this network.
    """
    network = with_levels(network, own, told.get(QUANTISED, {}), file)
    return with_gates(network, own, told.get(GATED, []), file)


def told_by_level(levels: Mapping[str, KeptLevel]) -> dict[str, Any]:
    """Return what a recipe says of levels, given by name: the other way round than `told_of_level`."""
    by_key = {key: {name: each.told[key] for name, each in levels.items() if key in each.told} for key in KEYS}
    return {key: found for key, found in by_key.items() if found}
