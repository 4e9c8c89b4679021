"""Lone pages: a report as one file that goes anywhere alone, by mail or to a web server, and works offline."""

from pathlib import Path

from elastic.metadata.replacing import replacing
from elastic.reporting.pages import page
from elastic.reporting.parts import Report
from elastic.reporting.pictures import drawn_parts
from elastic.reporting.storing import settled, to_json


def write_page(report: Report, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a report as one page and return its path; pictures and figures are in it. The same report, the same bytes.

    Raises InvalidReport if a part can't be shown, OutputExists if the file is there and may not be overwritten,
    PathError if it can't be written.
    """
    report = settled(report)
    text = page(report, drawn_parts(report), to_json(report))
    with replacing(path, overwrite) as file:
        file.write(text.encode())
    return Path(path)
