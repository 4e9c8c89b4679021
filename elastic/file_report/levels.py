"""Levels: what each costs, how often it is right and how long it takes; and that it is what it should be."""

from collections.abc import Iterator, Mapping, Sequence

from elastic.file_report.findings import Findings
from elastic.metadata import Header
from elastic.reporting import Curves, Part, Section, Table
from elastic.reporting.numbers import Cell
from elastic.told import make_of

TOP1 = "top1"  # the metric of a level that accuracies are
NO_ACCURACY = "The file holds no accuracies, and none were measured: `--data` measures them."
OF_FILE = "Accuracies are those that the file holds: they were measured when it was made."
COSTS = (
    "Multiply-accumulates are those of one input, in closed form, and a share of the largest level's. Bytes are those "
    "of a plain file of the level alone."
)
PROOFS = (
    "Proven while this page was made. SHA-256: what is read is what was saved. Masked = cut: removing channels gives "
    "what zeroing them in the whole network gives; the number is the largest difference, relative to the largest "
    "output, in float64. Export: the file that is exported gives what torch gives."
)

Columns = dict[str, Sequence[Cell]]  # by their head, a cell for each level


def accuracies(header: Header, findings: Findings) -> list[float | None]:
    """Return top-1 of each level in percent: as measured now, otherwise as the file says."""
    if findings.accuracies:
        return [each.top1 for each in findings.accuracies]
    return [level.metrics.get(TOP1) for level in header.levels]


def levels_section(header: Header, findings: Findings) -> Section:
    """Return the table of levels and, where there are accuracies, the pictures of what they cost."""
    found = accuracies(header, findings)
    text = [COSTS, _about_accuracy(found, findings), *_about_latency(findings)]
    return Section("Levels", " ".join(text), (_table(header, findings), *_pictures(header, found, findings)))


def proofs_section(header: Header, findings: Findings) -> Section:
    """Return what was proven of each level."""
    heads = ("level", "masked = cut", f"{findings.exported} = torch", "SHA-256")
    rows = tuple((each.level, each.masked_equals_cut, each.export_error, each.digest) for each in findings.proofs)
    note = "The largest level is not cut." + (
        " Levels with gates can't be exported so." if any(each.export_error is None for each in findings.proofs) else ""
    )
    return Section(
        "Proofs", f"{PROOFS}{_original(findings)}", (Table("proofs", "Every proof held", heads, rows, note),)
    )


def milliseconds(findings: Findings) -> list[float]:
    """Return the median of each level, of one input."""
    return [1e3 * each.median for each in findings.latencies]


def _table(header: Header, findings: Findings) -> Table:
    columns = {"level": [level.name for level in header.levels], **_makes(header), **_costs(header)}
    columns |= {**_accuracy(header, findings), **_latency(findings)}
    return Table("levels", "Levels of the file", tuple(columns), tuple(zip(*columns.values(), strict=True)))


def _makes(header: Header) -> Columns:
    makes = [make_of(header, number) for number in range(len(header.levels))]
    return {"made of": makes} if set(makes) != {"floats"} else {}


def _costs(header: Header) -> Columns:
    largest = max(1, header.levels[-1].macs)
    return {
        "params": [level.params for level in header.levels],
        "MACs": [level.macs for level in header.levels],
        "MACs, %": [100 * level.macs / largest for level in header.levels],
        "bytes": [level.bytes for level in header.levels],
    }


def _accuracy(header: Header, findings: Findings) -> Columns:
    """Return what was measured, then what the file says."""
    kept = list(dict.fromkeys(name for level in header.levels for name in level.metrics))
    told: Columns = {name: [level.metrics.get(name) for level in header.levels] for name in kept}
    named: Columns = {"top-1, %" if name == TOP1 else name: values for name, values in told.items()}
    if not findings.accuracies:
        return named
    now: Columns = {
        "top-1, %": [each.top1 for each in findings.accuracies],
        "top-5, %": [each.top5 for each in findings.accuracies],
        "loss, nats": [each.loss for each in findings.accuracies],
    }
    return now | {f"{head}, in the file": values for head, values in named.items()}


def _latency(findings: Findings) -> Columns:
    if not findings.latencies:
        return {}
    return {
        "latency, ms": milliseconds(findings),
        "quartiles, ms: first": [1e3 * each.low for each in findings.latencies],
        "third": [1e3 * each.high for each in findings.latencies],
    }


def _pictures(header: Header, found: Sequence[float | None], findings: Findings) -> Iterator[Part]:
    if all(each is None for each in found):
        return
    costs: Mapping[str, tuple[str, str, Sequence[float]]] = {
        "bytes": ("size", "bytes", [level.bytes for level in header.levels]),
        "macs": ("multiply-accumulates", "MACs", [level.macs for level in header.levels]),
        "latency": ("latency", "median latency, ms", milliseconds(findings)),
    }
    for name, (what, unit, values) in costs.items():
        if values:
            points = zip(header.levels, values, found, strict=True)
            lines = {level.name: ((value, top1),) for level, value, top1 in points if top1 is not None}
            title = f"Accuracy against {what}"
            yield Curves(f"accuracy-{name}", title, unit, "top-1, %", lines, has_markers_only=frozenset(lines))


def _about_accuracy(found: Sequence[float | None], findings: Findings) -> str:
    if findings.accuracies:
        return f"Accuracies were measured now, on {findings.accuracies[0].images:,} images."
    return OF_FILE if any(each is not None for each in found) else NO_ACCURACY


def _about_latency(findings: Findings) -> Iterator[str]:
    if not findings.latencies:
        yield "Latency was not measured."
    else:
        of, runs = findings.conditions, min(each.runs for each in findings.latencies)
        yield (
            f"Latency: median and quartiles of {runs:,} runs or more, all levels in turns, of a batch of {of['batch']} "
            f"with {of['input']}, on {of['threads']} thread{'s' if of['threads'] > 1 else ''} of {of['processor']} "
            f"({of['device']}), {of['precision']} {of['torch']}; load: {of['load when it was done']}."
        )


def _original(findings: Findings) -> str:
    if findings.original is None:
        return ""
    return f" Regrow = original: all {findings.original:,} tensors of the original weights are there, bit for bit."
