"""Folders: a report as a page for people, a JSON file for programs, and a file for each table and picture."""

from pathlib import Path

from elastic.errors import OutputExists, PathError
from elastic.metadata.replacing import replacing
from elastic.reporting.csvs import csv_of
from elastic.reporting.pages import page
from elastic.reporting.parts import Report
from elastic.reporting.pictures import drawn_parts
from elastic.reporting.storing import settled, to_json
from elastic.reporting.tables import Table

PAGE, FIGURES = "report.html", "report.json"


def write_report(report: Report, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write a report into a folder, made where there is none; return the path of its page.

    Beside the page lie `report.json`, a CSV file for each part, and each picture as SVG and PNG. The same report gives
    the same bytes. Numbers that are not finite are shown as missing. Other files of the folder are left as they are,
    also those of parts that an earlier report had.

    Raises InvalidReport if a part can't be shown, OutputExists if one of the files is there and may not be
    overwritten, before anything is written, and PathError if one can't be written.
    """
    folder = Path(folder)
    report = settled(report)
    names = file_names(report)
    if not overwrite:
        _check_free(folder, names)
    files = _files(report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathError(f"can't make the folder {folder}: {error.strerror or error}; choose another name") from error
    for name in names:
        with replacing(folder / name, overwrite) as file:
            file.write(files[name])
    return folder / PAGE


def file_names(report: Report) -> tuple[str, ...]:
    """Return the names of the files that a report becomes, in the order in which they are written: the page last."""
    suffixes = [(part.name, ("csv",) if isinstance(part, Table) else ("csv", "svg", "png")) for part in report.parts]
    return (*(f"{name}.{suffix}" for name, each in suffixes for suffix in each), FIGURES, PAGE)


def _check_free(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if (folder / name).exists():
            raise OutputExists(f"{folder / name} exists; choose another folder, or allow overwriting")


def _files(report: Report) -> dict[str, bytes]:
    drawn = drawn_parts(report)
    files = {f"{part.name}.csv": csv_of(part.records()).encode() for part in report.parts}
    for name, picture in drawn.items():
        files |= {f"{name}.svg": picture.svg, f"{name}.png": picture.png}
    return {**files, FIGURES: to_json(report).encode(), PAGE: page(report, drawn).encode()}
