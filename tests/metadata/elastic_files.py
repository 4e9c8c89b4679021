"""Small files for the tests: random networks with levels, and one fixed network whose file is golden."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from elastic.metadata import Header, Level, Tensor, write
from elastic.metadata.tensors import DTYPES

NAMES = ("conv.weight", "bn.running_mean", "bn.num_batches_tracked", "ü/层", "a", "Z", "tail.0", "café 1")
STORABLE = sorted(DTYPES)


@dataclass(frozen=True, eq=False)
class Network:
    """What `write` is given, apart from the header."""

    tensors: Mapping[str, Tensor]
    axes: Mapping[str, Mapping[int, np.ndarray]]
    levels: int
    private: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


def described(network: Network, contract: str = "exact") -> Header:
    levels = tuple(Level(f"level {k}", 10 * k, 100 * k, 7 * k, {"accuracy": 0.5}) for k in range(network.levels))
    return Header(contract, levels, model={"name": "elastic/test", "arguments": {}}, aliases=network.aliases)


def write_network(path: Path, network: Network, **options: object) -> Header:
    return write(path, described(network), network.tensors, network.axes, private=network.private, **options)


def expected(network: Network, name: str, level: int) -> Tensor:
    """Say what a level holds under a name, by the plainest means: keep every position that is not too new."""
    name = network.aliases.get(name, name)
    own = network.private.get(level, {}).get(name)
    if own is not None:
        return own
    bits = network.tensors[name].bits
    for axis, levels in network.axes.get(name, {}).items():
        bits = np.compress([each <= level for each in levels], bits, axis)
    return Tensor(network.tensors[name].dtype, bits)


def same_bits(one: Tensor, other: Tensor) -> bool:
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and one.bits.tobytes() == other.bits.tobytes()


def random_tensor(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Tensor:
    kind = DTYPES[dtype]
    if dtype == "BOOL":
        return Tensor(dtype, rng.integers(0, 2, shape).astype(np.bool_).reshape(shape))
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    return Tensor(dtype, np.frombuffer(rng.bytes(size), kind).reshape(shape))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Any dtypes, ranks 0 to 4, empty axes, elastic axes anywhere, up to twelve levels, privates, a tied name."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from((1, 2, 3, 4, 12)))
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, 5))]
    tensors, axes, private = {}, {}, {}
    for name in names:
        shape = tuple(draw(st.lists(st.integers(0, 6), max_size=4)))
        tensors[name] = random_tensor(rng, draw(st.sampled_from(STORABLE)), shape)
        elastic = [axis for axis in range(len(shape)) if draw(st.booleans())]
        if elastic:
            axes[name] = {axis: rng.integers(0, levels, shape[axis]).astype(np.uint8) for axis in elastic}
    shared = Network(dict(tensors), axes, levels)
    for level in range(levels):
        for name in names:
            if draw(st.integers(0, 3)) == 0:
                whole = expected(shared, name, level)
                private.setdefault(level, {})[name] = random_tensor(rng, whole.dtype, whole.shape)
    if draw(st.booleans()):
        tensors["tied"] = tensors[names[0]]
        return Network(tensors, axes, levels, private, {"tied": names[0]})
    return Network(tensors, axes, levels, private)


def small_network() -> Network:
    """Return the network of the golden file: three levels, several dtypes, private tensors, a tied name, a scalar."""
    ages = np.array([0, 2, 1, 0, 1, 2], np.uint8)
    halves = np.array([0, 1, 1, 0], np.uint8)
    weight = np.arange(6 * 4 * 3, dtype=np.float32).reshape(6, 4, 3)
    tensors = {
        "conv.weight": Tensor("F32", weight),
        "conv.bias": Tensor("BF16", np.arange(6, dtype=np.uint16)),
        "bn.running_mean": Tensor("F32", np.arange(6, dtype=np.float32) / 8),
        "bn.num_batches_tracked": Tensor("I64", np.array(7, np.int64)),
        "mask": Tensor("BOOL", np.array([True, False, True])),
        "ü": Tensor("F16", np.zeros((0, 2), np.float16)),
        "tied.weight": Tensor("F32", weight),
    }
    axes = {"conv.weight": {0: ages, 1: halves}, "conv.bias": {0: ages}, "bn.running_mean": {0: ages}}
    private = {0: {"bn.running_mean": Tensor("F32", np.array([0.25, -0.5], np.float32))}}
    return Network(tensors, axes, 3, private, {"tied.weight": "conv.weight"})
