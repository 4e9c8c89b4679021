"""Writing: the report of a file as one page, and as a folder of tables and pictures where that is asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from elastic.dynamic_levels import example_of_file
from elastic.errors import OutputExists
from elastic.exporting import Format
from elastic.file_report.composing import report_of
from elastic.file_report.findings import Findings, Measure, find
from elastic.file_report.runs import read_runs, runs_beside
from elastic.metadata import Header, read_header
from elastic.reporting import Report, write_page, write_report
from elastic.reporting.folders import PAGE
from elastic.verifying import Networks, Told


def report(
    path: str | Path,
    output: str | Path,
    *,
    measure: Measure | None = None,
    latency: bool = True,
    proofs: bool = True,
    to: Format = "onnx",
    against: str | Path | None = None,
    run: str | Path | None = None,
    folder: str | Path | None = None,
    example: Tensor | None = None,
    network: Networks | None = None,
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    told: Told | None = None,
) -> Report:
    """Write a page of an elastic file that needs no other file, and return the report that it shows.

    `measure` gives the accuracy of a network, as `elastic.data.evaluate` does; without it accuracies are those that the
    file holds. Latency is measured on this machine, and proofs are made here, with exports `to` a format; `against` are
    the original weights. `run` is the folder or .jsonl file in which a training left its epochs or `elastic compare`
    its runs; what lies beside the file is found without it. A `folder` gets the figures as CSV and JSON, the pictures
    as SVG and PNG. `network` gives the network of a level, for a file that names none; of such a file alone, only what
    it holds is shown. `settings` are told with those of the file.

    Raises OutputExists before any work, FileFormatError for a file that can't be read or doesn't say what its input
    looks like, PathError if the run can't be read, ProofFailed and ExportError if a proof fails: no page is written
    then.
    """
    path, output = Path(path), Path(output)
    for each in (output, *([] if folder is None else [Path(folder) / PAGE])):
        if each.exists() and not overwrite:
            raise OutputExists(f"{each} exists; choose another name, or allow overwriting")
    header = read_header(path)
    runs = runs_beside(path) if run is None else read_runs(Path(run))
    findings = Findings()
    if measure or against or (can_run(header, network) and (latency or proofs)):
        image = example_of_file(path) if example is None else example
        findings = find(
            path, image, measure=measure, latency=latency, proofs=proofs, to=to, against=against, network=network,
            told=told,
        )  # fmt: skip
    found = report_of(path, findings, runs, settings or {})
    if folder is not None:
        write_report(found, folder, overwrite=overwrite)
    write_page(found, output, overwrite=overwrite)
    return found


def can_run(header: Header, network: object) -> bool:
    """Return whether the networks of a file can be made: it names one of the registry, or the user gives them."""
    return bool(network or header.model.get("name"))
