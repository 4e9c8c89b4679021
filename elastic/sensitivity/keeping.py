"""Keeping: losses in a journal. The first line is the header, every other one loss."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from elastic.errors import CurvesMismatch, FileFormatError, PathError
from elastic.journal import Journal, open_journal, parsed
from elastic.sensitivity.curves import Count, Curves, Header, curves_of

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
    if not path.exists():
        raise PathError(f"can't read {path}: there is no such file")
    journal = open_journal(path)
    header = _header(journal)
    found = _losses(journal, header)
    if len(found) < (wanted := sum(len(group.widths) for group in header.groups)):
        raise CurvesMismatch(
            f"{path} holds {len(found)} of {wanted} losses; measure into it again, which goes on there"
        )
    return curves_of(header, found)


def resumed(path: Path, header: Header) -> tuple[Journal, dict[tuple[int, int], float | None]]:
    """Write the header where the file is new, cut off a line without an end; return the file, and what is in it.

    Raises CurvesMismatch if the file's header is another, FileFormatError if it is no such file, PathError if it can't
    be read or written.
    """
    journal = open_journal(path)
    if not journal.lines and (header.model_dump_json().encode() + b"\n").startswith(journal.torn):
        journal.append(header)
        return journal, {}
    _check_same(path, header, _header(journal))
    found = _losses(journal, header)
    journal.cut_torn()
    return journal, found


def _header(journal: Journal) -> Header:
    line = journal.lines[0] if journal.lines else journal.torn
    return parsed(Header, line, f"{journal.path} is no file of curves", "give another path")


def _losses(journal: Journal, header: Header) -> dict[tuple[int, int], float | None]:
    known = {(number, width) for number, group in enumerate(header.groups) for width in group.widths}
    found: dict[tuple[int, int], float | None] = {}
    for number, line in enumerate(journal.lines[1:], start=2):
        wrong = f"{journal.path} is damaged in line {number}"
        point = parsed(Point, line, wrong, "delete the line")
        if (point.group, point.width) not in known:
            raise FileFormatError(
                f"{wrong}: it has a loss of group {point.group} at {point.width} units, of which the header says "
                "nothing; delete the line"
            )
        found.setdefault((point.group, point.width), point.loss)
    return found


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
