"""Storing: a report as JSON, and back.

What is written is always made from what was read back, so that the page, its pictures and its tables can show nothing
that the JSON doesn't say.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from elastic.errors import FileFormatError, InvalidReport, PathError
from elastic.reporting.bars import Bars
from elastic.reporting.curves import Curves
from elastic.reporting.heat_maps import HeatMap
from elastic.reporting.histograms import Histogram
from elastic.reporting.parts import Part, Report
from elastic.reporting.tables import Table

FORMAT = 1
KINDS: tuple[type[Part], ...] = (Table, Curves, Bars, HeatMap, Histogram)
PARTS = {kind.KIND: TypeAdapter(kind) for kind in KINDS}
REPORT = TypeAdapter(Report)
UNPRINTABLE = re.compile(
    "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # HTML and SVG have no place for it

Otherwise = Callable[[object], object]  # what becomes of a value that JSON has no word for


def to_json(report: Report) -> str:
    """Return the text of a report, always the same: null for numbers that are not finite.

    Settings that are not plain data become text.

    Raises InvalidReport if a part holds what is not plain data.
    """
    sections = [{**vars(section), "parts": [_record(part) for part in section.parts]} for section in report.sections]
    figures = _plain({"title": report.title, "lead": report.lead, "sections": sections}, _missing)
    whole = {"format": FORMAT, **figures, "settings": _plain(report.settings, str)}
    return json.dumps(whole, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def from_json(text: str) -> Report:
    """Return the report of a text. Raises InvalidReport if it is none, or one that can't be shown."""
    try:
        record = json.loads(text)
        if record["format"] != FORMAT:
            raise InvalidReport(
                f"a report of format {record['format']!r}, not {FORMAT}; write it again with this version"
            )
        for section in record["sections"]:
            section["parts"] = [_read(part) for part in section["parts"]]
        report = REPORT.validate_python(record)
    except (LookupError, TypeError, json.JSONDecodeError, RecursionError) as error:
        raise InvalidReport(f"not a report: {type(error).__name__} {error}; write it again") from error
    except ValidationError as error:
        raise InvalidReport(f"not a report: {_first(error)}") from error
    report.check()
    return report


def settled(report: Report) -> Report:
    """Return a report as it reads once it is stored; what can't be stored or shown is refused, as by `from_json`."""
    return from_json(to_json(report))


def read_report(folder: str | Path) -> Report:
    """Return the report of a folder that `write_report` wrote; numbers that were not finite are None.

    Raises PathError if there is none, FileFormatError if its report.json is damaged.
    """
    path = Path(folder) / "report.json"
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PathError(f"can't read {path}: {error.strerror or error}; give a folder that holds a report") from error
    except (InvalidReport, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path}: {error}") from error


def _record(part: Part) -> dict[str, Any]:
    return {"kind": part.KIND, **vars(part)}


def _read(record: dict[str, Any]) -> Part:
    """Return a part; strict, so that a text is never taken for a number."""
    try:
        return PARTS[record["kind"]].validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        raise InvalidReport(f"{record['kind']} {record.get('name')!r}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """Return what is wrong first, and where."""
    found = error.errors()[0]
    return f"{'.'.join(str(place) for place in found['loc'])}: {found['msg']}, not {found['input']!r}"


def _plain(value: object, otherwise: Otherwise) -> Any:
    """Return a value as JSON knows it; scalars of numpy are numbers like others."""
    match value:
        case None | bool():
            return value
        case str():
            return UNPRINTABLE.sub("\ufffd", value)
        case Integral():
            return int(value)
        case Real():
            return float(value) if math.isfinite(value) else _plain_text(otherwise(value))
        case Mapping():
            return {_plain_text(key): _plain(each, otherwise) for key, each in value.items()}
        case Set():
            return sorted((_plain(each, otherwise) for each in value), key=str)
        case Sequence():
            return [_plain(each, otherwise) for each in value]
    return _plain_text(otherwise(value))


def _plain_text(value: object) -> str | None:
    return None if value is None else UNPRINTABLE.sub("\ufffd", str(value))


def _missing(value: object) -> None:
    """Return nothing for a number that is not finite."""
    if not isinstance(value, Real):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise InvalidReport(f"a part holds a {kind}, which is not plain data; give lists, numbers and text")
