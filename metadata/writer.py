"""Write every level of a network into one safetensors file of shells, tensor by tensor.

Each block is cut from its tensor when its turn comes, so that no second copy of the network is ever in memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from elastic.errors import FileFormatError, ShellMismatch
from elastic.metadata.container import FilePath, Kind, header_bytes, layout
from elastic.metadata.jsontext import check
from elastic.metadata.keys import SCORE, axis_key, block_key, check_names, unit_key, whole_key
from elastic.metadata.replacing import replacing
from elastic.metadata.schema import KEY, MOST_LEVELS, Header, Level, check_levels, header_text, names_at
from elastic.metadata.shells import Levels, Positions, blocks, kept, take
from elastic.metadata.tensors import Bits, Tensor, level_digest, raw, tensor_digest

LevelsOfTensors = Mapping[str, Mapping[int, Levels]]
UnitsOfTensors = Mapping[str, Mapping[int, npt.NDArray[np.int32]]]
Private = Mapping[int, Mapping[str, Tensor]]
Ids = dict[str, dict[int, str]]


@dataclass(frozen=True, eq=False)
class Piece:
    """What is stored under one key: the elements of a tensor at some positions of its axes."""

    tensor: Tensor
    positions: Mapping[int, Positions] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """The dtype and shape of the elements."""
        lengths = {axis: len(positions) for axis, positions in self.positions.items()}
        return self.tensor.dtype, tuple(lengths.get(axis, length) for axis, length in enumerate(self.tensor.shape))

    def value(self) -> Tensor:
        """The elements themselves."""
        return Tensor(self.tensor.dtype, take(self.tensor.bits, self.positions))


@dataclass(frozen=True, eq=False)
class Network:
    """Every level of a network: the largest one's tensors, the level of each position, and what levels have alone."""

    tensors: Mapping[str, Tensor]  # without aliases
    axes: LevelsOfTensors
    private: Private
    levels: Sequence[Level]

    def names(self, level: int) -> tuple[str, ...]:
        """Return the names of a level's tensors, aliases left out."""
        of = self.levels[level]
        return (*(name for name in self.tensors if name not in of.absent), *of.own)

    def at(self, name: str, level: int) -> Piece:
        """Return a tensor as it is at a level."""
        own = self.private.get(level, {}).get(name)
        return self.shared(name, level) if own is None else Piece(own)

    def shared(self, name: str, level: int) -> Piece:
        """Return what a level has of the largest level's tensor."""
        return Piece(self.tensors[name], {axis: kept(each, level) for axis, each in self.axes.get(name, {}).items()})

    def is_whole(self, name: str, piece: Piece) -> bool:
        """Whether a piece is the largest level's tensor itself."""
        return piece.tensor is self.tensors.get(name) and piece.kind[1] == piece.tensor.shape


def write(
    path: FilePath,
    header: Header,
    tensors: Mapping[str, Tensor],
    axes: LevelsOfTensors,
    *,
    private: Private | None = None,
    units: UnitsOfTensors | None = None,
    score: npt.NDArray[np.float32] | None = None,
    overwrite: bool = False,
) -> Header:
    """Write an elastic file and return its header, completed with names, axes, units and digests.

    `tensors` is the largest level's state dict in its order, aliases included. `axes` gives the level of every position
    of each elastic axis, and leaves aliases out. `private[level][name]` is that level's own whole value; where a level
    above it has none, it goes back to the shared tensor; of what the header's levels have as `own` it is all. `units`
    and `score` are kept beside, for cutting other widths.

    Raises ShellMismatch if shapes or levels disagree, FileFormatError if something can't be stored, OutputExists,
    PathError if the disk is full or there is no such folder. Whatever is raised, `path` is what it was.
    """
    if not 1 <= len(header.levels) <= MOST_LEVELS:
        raise FileFormatError(f"{path}: {len(header.levels)} levels can't be stored; give 1 to {MOST_LEVELS}")
    check_names(tensors, str(path))
    _check_aliases(tensors, header.aliases)
    check_levels(header.levels, tuple(tensors), header.aliases, str(path))
    network = Network({k: v for k, v in tensors.items() if k not in header.aliases}, axes, private or {}, header.levels)
    _check_axes(network.tensors, axes, np.uint8)
    _check_axes(network.tensors, units or {}, np.int32)
    _check_levels(network, len(header.levels))
    axis_ids, stored_axes = _numbered(network.tensors, axes)
    unit_ids, stored_units = _numbered(network.tensors, units or {})
    own = dict.fromkeys(name for level in header.levels for name in level.own)
    pieces = {key: piece for name in (*network.tensors, *own) for key, piece in _pieces(network, name)}
    pieces |= {axis_key(key): Piece(Tensor("U8", levels)) for key, levels in stored_axes.items()}
    pieces |= {unit_key(key): Piece(Tensor("I32", labels)) for key, labels in stored_units.items()}
    if score is not None:
        pieces[SCORE] = Piece(Tensor("F32", score.reshape(-1)))
    header = replace(header, names=tuple(tensors), axes=axis_ids, units=unit_ids)
    header = _with_digests(header, network)
    _save(path, pieces, {KEY: header_text(header)}, overwrite)
    return header


def write_plain(
    path: FilePath,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write a plain safetensors file, aliases as tensors of their own; `metadata` is {"format": "pt"} if not given.

    Raises OutputExists, or PathError if the file can't be written; `path` is then what it was.
    """
    pieces = {name: Piece(tensor) for name, tensor in tensors.items()}
    _save(path, pieces, {"format": "pt"} if metadata is None else metadata, overwrite)


def _check_aliases(tensors: Mapping[str, Tensor], aliases: Mapping[str, str]) -> None:
    for alias, name in aliases.items():
        if alias not in tensors or name not in tensors or name in aliases:
            raise FileFormatError(f"alias {alias!r} of {name!r}: both must be tensors, the second no alias itself")
        one, other = tensors[alias], tensors[name]
        if (one.dtype, one.shape) != (other.dtype, other.shape) or raw(one.bits) != raw(other.bits):
            raise FileFormatError(f"{alias!r} is said to be tied to {name!r}, but has other values; untie them")


def _check_axes(tensors: Mapping[str, Tensor], axes: Mapping[str, Mapping[int, Bits]], dtype: type[np.generic]) -> None:
    for name, labels in axes.items():
        if name not in tensors:
            raise ShellMismatch(f"axes are given for {name!r}, which is no tensor, or an alias of one")
        shape = tensors[name].shape
        for axis, of_axis in labels.items():
            if not 0 <= axis < len(shape) or of_axis.dtype != dtype or of_axis.shape != (shape[axis],):
                given = f"{of_axis.dtype} {list(of_axis.shape)} for axis {axis}"
                raise ShellMismatch(
                    f"{name} has shape {list(shape)}, given {given}; give one {dtype.__name__} a position"
                )


def _check_levels(network: Network, levels: int) -> None:
    for name, axes in network.axes.items():
        for axis, of_axis in axes.items():
            if of_axis.max(initial=0) >= levels:
                raise ShellMismatch(f"{name} has level {of_axis.max()} along axis {axis}, the file has {levels} levels")
    for number, each in enumerate(network.levels):
        if missing := [name for name in each.own if name not in network.private.get(number, {})]:
            raise ShellMismatch(f"level {each.name!r} is to have {missing[0]!r} of its own, but it is not given")
    for level, own in network.private.items():
        for name, tensor in own.items():
            if not 0 <= level < levels or name not in network.names(level):
                raise ShellMismatch(f"{name!r} is private to level {level}, but there is no such tensor or level")
            if name in network.levels[level].own:
                continue
            shared = network.shared(name, level).kind
            if (tensor.dtype, tensor.shape) != shared:
                raise ShellMismatch(
                    f"{name} is private to level {level} with {tensor.dtype} {list(tensor.shape)}, the level asks for "
                    f"{shared[0]} {list(shared[1])}"
                )


def _numbered(names: Iterable[str], axes: Mapping[str, Mapping[int, Bits]]) -> tuple[Ids, dict[str, Bits]]:
    known: dict[bytes, str] = {}
    stored: dict[str, Bits] = {}
    ids: Ids = {}
    for name in names:
        for axis in sorted(axes.get(name, {})):
            key = known.setdefault(axes[name][axis].tobytes(), str(len(known)))
            stored.setdefault(key, axes[name][axis])
            ids.setdefault(name, {})[axis] = key
    return ids, stored


def _pieces(network: Network, name: str) -> list[tuple[str, Piece]]:
    pieces: list[tuple[str, Piece]] = []
    begins = True  # nothing grows from a private tensor, nor from none: above it the shared one starts anew
    for level in range(len(network.levels)):
        own, is_there = name in network.private.get(level, {}), name in network.names(level)
        if is_there and (own or begins):
            pieces.append((whole_key(name, level), network.at(name, level)))
        elif is_there:
            found = blocks(network.axes.get(name, {}), level)
            pieces += [
                (block_key(name, level, block.number), Piece(network.tensors[name], block.source)) for block in found
            ]
        begins = own or not is_there
    return pieces


def _with_digests(header: Header, network: Network) -> Header:
    whole = {name: tensor_digest(tensor) for name, tensor in network.tensors.items()}

    def of_level(level: int) -> dict[str, str]:
        pieces = {name: network.at(name, level) for name in network.names(level)}
        digests = {
            name: whole[name] if network.is_whole(name, piece) else tensor_digest(piece.value())
            for name, piece in pieces.items()
        }
        return {name: digests[own] for name, own in names_at(header, level).items()}

    found = [of_level(level) for level in range(len(header.levels))]
    levels = (replace(level, digest=level_digest(digests)) for level, digests in zip(header.levels, found, strict=True))
    return replace(header, levels=tuple(levels), digests=found[-1])


def _save(path: FilePath, pieces: Mapping[str, Piece], metadata: Mapping[str, str], overwrite: bool) -> None:
    kinds = layout({key: piece.kind for key, piece in pieces.items()})
    check(list(kinds), f"{path}: the list of names")
    with replacing(path, overwrite) as file:
        file.write(header_bytes(kinds, metadata))
        for key in kinds:
            file.write(raw(pieces[key].value().bits))
