"""Header: what an elastic file says of itself, as plain data, and its one JSON text.

A file is data from elsewhere: everything read is checked here, field by field, before anything is allocated. What the
core puts into `model`, `input`, `recipe` and `plan` is any JSON object, and opaque to the format.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from elastic.errors import FileFormatError, UnknownName
from elastic.metadata.checks import Found
from elastic.metadata.jsontext import parse, text_of
from elastic.metadata.keys import check_names

Contract = Literal["exact", "nested", "joint"]
Json = Mapping[str, Any]

KEY = "elastic"  # of the safetensors metadata
VERSIONS = (1, 2)  # the second has levels with tensors of their own
TEXT_CAP = 16 << 20  # letters
MOST_LEVELS = 256  # a level number is one byte


@dataclass(frozen=True)
class Level:
    """One size of the network. `bytes` is that of its plain file; `digest` is filled in by `write`.

    A level may be of another make than the largest (integers and scales for weights): `absent` are names of tensors
    that it lacks, `own` those of tensors that it has instead, behind all others in its state dict.
    """

    name: str
    params: int
    macs: int
    bytes: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    digest: str = ""
    own: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """What an elastic file says of itself. `write` fills in `names`, `axes`, `units`, `digests`.

    `levels` are smallest first. `names` is the state dict's order, aliases included. `axes` and `units` give for each
    tensor, by the number of the axis, the ID under which the axis is stored; `digests` are of the largest level.
    """

    contract: Contract
    levels: tuple[Level, ...]
    model: Json = field(default_factory=dict)
    input: Json = field(default_factory=dict)
    recipe: Json = field(default_factory=dict)
    plan: Json = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)  # each further name of a tied tensor -> its first
    names: tuple[str, ...] = ()
    axes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    units: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """The version of the format that it takes."""
        return 2 if any(level.own or level.absent for level in self.levels) else 1


def find_level(header: Header, level: int | str | None) -> int:
    """Return the number of a level given by number, by name, as "smallest" or "largest"; None is the largest.

    What a name says behind its `=` will do too, if only one does: "25%" for "macs=25%".

    Raises UnknownName if there is no such level.
    """
    names = [each.name for each in header.levels]
    known: dict[int | str | None, int] = {None: len(names) - 1, "smallest": 0, "largest": len(names) - 1}
    known |= {number: number for number in range(len(names))}
    amounts = [name.partition("=")[2] for name in names]
    known |= {amount: number for number, amount in enumerate(amounts) if amount and amounts.count(amount) == 1}
    known |= {name: number for number, name in enumerate(names)}
    if isinstance(level, bool) or level not in known:
        raise UnknownName(f"no level {level!r}; the file has {', '.join(names)} (or 0 to {len(names) - 1})")
    return known[level]


def names_at(header: Header, level: int) -> dict[str, str]:
    """Return the names of a level's state dict in their order, each with the name of the tensor that it stands for."""
    of = header.levels[level]
    there = [name for name in header.names if name not in of.absent]
    return {name: header.aliases.get(name, name) for name in (*there, *of.own)}


def header_text(header: Header) -> str:
    """Return the JSON text of a header; the same header gives the same text.

    Raises FileFormatError if the header could not be read back.
    """
    described = {each.name: getattr(header, each.name) for each in dataclasses.fields(Header)}
    described["version"] = header.version
    described["levels"] = [{name: getattr(level, name) for name in _fields(header.version)} for level in header.levels]
    described |= {"axes": _texts(header.axes), "units": _texts(header.units)}
    text = text_of(described, "the header")
    parse_header(text, "the header to write")
    return text


def parse_header(text: str, what: str) -> Header:
    """Return the header that a text describes; `what` names its file in errors.

    Raises FileFormatError if anything in it is missing, wrong, or unknown to this version.
    """
    found = Found(parse(text, f"{what}: its elastic header", TEXT_CAP), what, "the elastic header")
    version = _version(found)
    found.only({"version", *(each.name for each in dataclasses.fields(Header))})
    names = tuple(found["names"].distinct_texts())
    check_names(names, what)
    aliases = _aliases(found["aliases"], names)
    return Header(
        contract=found["contract"].one_of(get_args(Contract)),
        levels=_levels(found["levels"], version, names, aliases),
        model=found["model"].json(),
        input=found["input"].json(),
        recipe=found["recipe"].json(),
        plan=found["plan"].json(),
        aliases=aliases,
        names=names,
        axes=_ids(found["axes"], set(names) - set(aliases)),
        units=_ids(found["units"], set(names) - set(aliases)),
        digests=_digests(found["digests"], names),
    )


def _texts(ids: Mapping[str, Mapping[int, str]]) -> dict[str, dict[str, str]]:
    return {name: {str(axis): key for axis, key in axes.items()} for name, axes in ids.items()}


def _version(found: Found) -> int:
    version = found["version"].count()
    if version > max(VERSIONS):
        raise FileFormatError(f"{found.file} was written by a newer version (format {version}); update this toolkit")
    if version not in VERSIONS:
        raise found["version"].refusal(f"must be {' or '.join(map(str, VERSIONS))}")
    return version


def _fields(version: int) -> list[str]:
    """Return what a version says of a level."""
    return [each.name for each in dataclasses.fields(Level) if version > 1 or each.name not in ("own", "absent")]


def _levels(found: Found, version: int, names: tuple[str, ...], aliases: Mapping[str, str]) -> tuple[Level, ...]:
    levels = tuple(_level(each, version) for each in found.items(1, MOST_LEVELS))
    if len({level.name for level in levels}) < len(levels):
        raise found.refusal("has the same name twice")
    if version > 1:
        check_levels(levels, names, aliases, found.file)
    if version > 1 and not any(level.own or level.absent for level in levels):
        raise found.refusal("has nothing that takes format 2")
    return levels


def check_levels(levels: Sequence[Level], names: Sequence[str], aliases: Mapping[str, str], what: str) -> None:
    """Raise FileFormatError if levels have or lack tensors that they can't."""
    stored = set(names) - set(aliases)
    check_names([*names, *{own for level in levels for own in level.own}], what)
    for level in levels:
        if twice := sorted(set(level.own) & set(names)):
            raise FileFormatError(f"{what}: level {level.name!r} has {twice[0]!r} of its own, and all levels have it")
        if unknown := sorted(set(level.absent) - (stored - set(aliases.values()))):
            raise FileFormatError(f"{what}: level {level.name!r} lacks {unknown[0]!r}, which is no untied tensor")
    if levels[-1].own or levels[-1].absent:
        raise FileFormatError(f"{what}: level {levels[-1].name!r} is the largest: it must have what all levels share")


def _level(found: Found, version: int) -> Level:
    found.only(_fields(version))
    return Level(
        name=found["name"].text(),
        params=found["params"].count(),
        macs=found["macs"].count(),
        bytes=found["bytes"].count(),
        metrics={name: found["metrics"][name].number() for name in found["metrics"].named()},
        digest=found["digest"].digest(),
        own=tuple(found["own"].distinct_texts()) if version > 1 else (),
        absent=tuple(found["absent"].distinct_texts()) if version > 1 else (),
    )


def _aliases(found: Found, names: tuple[str, ...]) -> dict[str, str]:
    known = set(names)
    aliases = {alias: found[alias].text() for alias in found.named()}
    for alias, name in aliases.items():
        if alias not in known or name not in known or name in aliases:
            raise found[alias].refusal("must be the first name of a tensor, for a name in the list of names")
    return aliases


def _ids(found: Found, names: set[str]) -> dict[str, dict[int, str]]:
    ids = {
        name: {found[name].axis(axis): found[name][axis].text() for axis in found[name].named()}
        for name in found.named()
    }
    if unknown := sorted(set(ids) - names):
        raise found[unknown[0]].refusal("belongs to no tensor in the list of names")
    return ids


def _digests(found: Found, names: tuple[str, ...]) -> dict[str, str]:
    if set(found.named()) != set(names):
        raise found.refusal("must have one digest for each of the names")
    return {name: found[name].digest() for name in names}
