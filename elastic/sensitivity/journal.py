"""Journal: losses in a file of lines of JSON, each written as soon as it is measured.

The first line is the header, every other one loss. A process may be killed at any time: what then has no line end was
being written, and is left out and written again. Lines are validated, and nothing in them is ever run.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from elastic.errors import CurvesMismatch, FileFormatError, PathError
from elastic.sensitivity.curves import Count, Curves, Header, Losses, curves_of

OTHERWISE = {  # what a header says otherwise, in the order in which it is told
    "weights": "other weights",
    "plan": "other units, traced or frozen otherwise",
    "inputs": "other inputs, or others in a batch",
    "samples": "other inputs",
    "loss": "another loss",
    "recover": "another recover",
    "criterion": "another criterion",
    "scores": "other scores",
    "groups": "other widths",
}


class Point(BaseModel):
    """One loss, null where it is no finite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    group: Annotated[int, Field(ge=0)]
    width: Count
    loss: Annotated[float, Field(allow_inf_nan=False)] | None


def read_curves(path: str | Path) -> Curves:
    """Return the curves of a file that `measure_curves` wrote to its end.

    Raises PathError if it can't be read, FileFormatError if it is no such file, CurvesMismatch if losses are missing.
    """
    path = Path(path)
    first, *rest = _whole_lines(path)[0] or [b""]
    header = _header(path, first)
    found = _losses(path, header, rest)
    if len(found) < (wanted := sum(len(group.widths) for group in header.groups)):
        raise CurvesMismatch(
            f"{path} holds {len(found)} of {wanted} losses; measure into it again, which goes on there"
        )
    return curves_of(header, found)


def resumed(path: Path, header: Header) -> Losses:
    """Write the header where the file is new, cut off a line without an end, and return the losses that are there.

    Raises CurvesMismatch if the file's header is another, FileFormatError if it is no such file, PathError if it can't
    be read or written.
    """
    line = _line(header)
    lines, torn = _whole_lines(path) if path.exists() else ([], b"")
    if not lines and line.startswith(torn):
        _write(path, line, after=0)
        return {}
    _check_same(path, header, _header(path, lines[0] if lines else torn))
    found = _losses(path, header, lines[1:])
    if torn:
        _write(path, b"", after=sum(len(each) + 1 for each in lines))
    return found


def append(path: Path, group: int, width: int, loss: float | None) -> None:
    """Write one loss at the end of a file. Raises PathError if it can't be written."""
    _write(path, _line(Point(group=group, width=width, loss=loss)))


def _line(record: BaseModel) -> bytes:
    return record.model_dump_json().encode() + b"\n"


def _write(path: Path, line: bytes, *, after: int | None = None) -> None:
    """Write a line at the end, once the file is as long as `after` says."""
    try:
        with path.open("ab") as file:
            if after is not None:
                file.truncate(after)
            file.write(line)
    except OSError as reason:
        raise PathError(
            f"can't write {path}: {reason.strerror or reason}; what was measured before is kept"
        ) from reason


def _whole_lines(path: Path) -> tuple[list[bytes], bytes]:
    """Return the lines of a file without their ends, and what follows the last end."""
    try:
        *lines, rest = path.read_bytes().split(b"\n")
    except OSError as reason:
        raise PathError(f"can't read {path}: {reason.strerror or reason}") from reason
    return lines, rest


def _header(path: Path, line: bytes) -> Header:
    try:
        return Header.model_validate_json(line)
    except ValidationError as error:
        raise FileFormatError(f"{path} is no file of curves: {_first(error)}; give another path") from error


def _losses(path: Path, header: Header, lines: list[bytes]) -> dict[tuple[int, int], float | None]:
    known = {(number, width) for number, group in enumerate(header.groups) for width in group.widths}
    found: dict[tuple[int, int], float | None] = {}
    for number, line in enumerate(lines, start=2):
        try:
            point = Point.model_validate_json(line)
        except ValidationError as error:
            raise FileFormatError(f"{path} is damaged in line {number}: {_first(error)}; delete the line") from error
        if (point.group, point.width) not in known:
            raise FileFormatError(
                f"{path} is damaged in line {number}: it has a loss of group {point.group} at {point.width} units, "
                "of which the header says nothing; delete the line"
            )
        found.setdefault((point.group, point.width), point.loss)
    return found


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return ": ".join([*(str(part) for part in first["loc"]), first["msg"]])


def _check_same(path: Path, asked: Header, found: Header) -> None:
    for field, what in OTHERWISE.items():
        here, there = getattr(asked, field), getattr(found, field)
        if here != there:
            raise CurvesMismatch(
                f"{path} was measured with {what}: {_shown(there)} there, {_shown(here)} asked for; "
                "ask for the same, or give another path"
            )


def _shown(value: Any) -> str:
    match value:
        case str():
            return repr(value[:8]) if len(value) == 64 else repr(value)
        case tuple() if value and isinstance(value[0], float):
            return f"{len(value)} from {min(value):.3g} to {max(value):.3g}"
        case tuple():
            return str([list(group.widths) for group in value[:1]])
    return str(value)
