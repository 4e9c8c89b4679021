"""Composing: a file's header, what was found of its levels, and what its run left, as one report."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elastic.file_report.findings import Findings
from elastic.file_report.levels import accuracies, levels_section, milliseconds, proofs_section
from elastic.file_report.runs import Runs, controls_section, training_section
from elastic.file_report.widths import frozen_section, widths_section
from elastic.metadata import Header, read_header
from elastic.planned import load_plan
from elastic.reporting import Report, Section
from elastic.reporting.numbers import shown
from elastic.sizes import size_text
from elastic.told import KEYS

CONTRACTS = {
    "exact": "The largest level is the original that was pruned, bit for bit.",
    "nested": "Levels share their core: training a larger one left every smaller one as it was.",
    "joint": "All levels were trained together on shared weights.",
}


def report_of(path: str | Path, findings: Findings, runs: Runs, settings: Mapping[str, Any]) -> Report:
    """Return the report of a file; `settings` are said beside those that the file holds.

    Raises FileFormatError if the file or its plan can't be read.
    """
    header, path = read_header(path), Path(path)
    return Report(
        title=f"{path.name}: {header.model.get('name') or 'a network of its own'}",
        lead=f"{len(header.levels)} levels in one file of {size_text(path.stat().st_size)}. "
        f"{'; '.join(_found(header, findings))}. {CONTRACTS[header.contract]}",
        sections=tuple(_sections(path, header, findings, runs)),
        settings=_settings(path, header, findings) | dict(settings),
    )


def _sections(path: Path, header: Header, findings: Findings, runs: Runs) -> Iterator[Section]:
    yield levels_section(header, findings)
    if findings.proofs:
        yield proofs_section(header, findings)
    if header.units:
        planned = load_plan(path)
        yield widths_section(header, planned)
        if planned.plan.frozen:
            yield frozen_section(planned.plan)
    if runs.epochs:
        yield training_section(runs)
    if runs.comparisons:
        yield controls_section(header, runs)


def _found(header: Header, findings: Findings) -> Iterator[str]:
    largest = max(1, header.levels[-1].macs)
    times: list[float] | list[None] = milliseconds(findings) or [None] * len(header.levels)
    for level, top1, time in zip(header.levels, accuracies(header, findings), times, strict=True):
        right = "" if top1 is None else f"{top1:.2f} % top-1, "
        took = "" if time is None else f", {shown(float(f'{time:.3g}'))} ms"
        yield f"{level.name}: {right}{level.macs / largest:.1%} of the MACs{took}"


def _settings(path: Path, header: Header, findings: Findings) -> dict[str, Any]:
    recipe = {name: value for name, value in header.recipe.items() if name not in KEYS}
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "contract": header.contract,
        "model": header.model,
        "input": header.input,
        "recipe": recipe,
        **({"measured": dict(findings.conditions)} if findings.conditions else {}),
    }
