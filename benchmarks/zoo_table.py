"""The records of `zoo.py` as a Markdown page: what holds, in figures, and by name all that does not."""

from collections.abc import Mapping, Sequence

from isolated import Record, median
from records import markdown, setting
from zoo_checks import RATIOS, SEED, TOLERANCE
from zoo_models import SUITES, cases

PACKAGES = ("torch", "torchvision", "timm")
HEAD = (
    "model", " image", " s", " MB", " units", " groups", " params that can go", " MACs that can go",
    *(f" {ratio}" for ratio in sorted(RATIOS)), "all else", "stays whole, mostly because",
)  # fmt: skip
SECONDS_ASKED, MEGABYTES_ASKED = 1.0, 500.0


def conformance(records: Mapping[str, Record]) -> str:
    """Return the page."""
    known = [records[case.name] for case in cases() if case.name in records]
    parts = [
        "# Conformance",
        "    python benchmarks/zoo.py\n    python benchmarks/zoo.py --table docs/conformance.md",
        setting(PACKAGES, known),
        EXPLANATION,
        "## In short",
        markdown(*_summary(known)),
        _missing(records),
        "## What fails",
        _failures(known),
    ]
    for suite, title in SUITES.items():
        if found := [record for record in known if record["suite"] == suite]:
            parts += [f"## {title}", markdown(HEAD, [_row(record) for record in found])]
    return "\n\n".join(part for part in parts if part) + "\n"


EXPLANATION = f"""The list is fixed in `benchmarks/zoo_models.py` and `zoo_timm.py`. Each model has a process of its
own, on one thread, bounded in memory and time.

* **s, MB**: `elastic.trace` on one image of the size shown, trial of the plan included: the median of three, after one
  that also pays for imports; and the rise of the resident memory in one more.
* **can go**: the share of the parameters and MACs that is gone when every group keeps one unit.
* **{", ".join(str(ratio) for ratio in sorted(RATIOS))}**: so much of every group's units is removed at
  random (seed {SEED}); the largest difference between the outputs of the cut network and of the masked one, relative to
  the largest output, in float64, on random weights. Norms over channels count what stays. It must be below
  {TOLERANCE:.0e}.
* **all else**, at each ratio: parameters and MACs are what torch counts; the cut network runs forward and backward in
  float32, and finite gradients reach all parameters that they reached; it runs in training mode where the whole network
  does. And once: every level is regrown bit for bit from the smallest and its shells; saved, the smallest level loads
  with the same outputs and the largest bit for bit.

The cuts are made on images of 64 pixels a side, or the smallest that the model takes."""


def _summary(records: Sequence[Record]) -> tuple[Sequence[str], list[list[str]]]:
    head = (
        "",
        " models",
        " traced",
        " can be cut",
        " all checks pass",
        " wrong answers",
        " sum, s",
        "slowest",
        "most memory",
    )
    rows = [
        _summed(title, [record for record in records if record["suite"] == suite]) for suite, title in SUITES.items()
    ]
    return head, [*rows, _summed("all", records)]


def _summed(title: str, records: Sequence[Record]) -> list[str]:
    traced = [record for record in records if "units" in record]
    cut = [record for record in traced if record["params_cut"] > 0]
    clean = [record for record in records if not problems(record)]
    wrong = [record for record in records if any(one["is_wrong"] for one in record["failures"])]
    slow = max(traced, key=lambda record: median(record["seconds"]), default=None)
    large = max(traced, key=lambda record: record["megabytes"], default=None)
    return [
        title, str(len(records)), str(len(traced)), f"{len(cut)} ({len(cut) / max(1, len(records)):.1%})",
        str(len(clean)), str(len(wrong)), f"{sum(median(record['seconds']) for record in traced):.1f}",
        f"{slow['name']} {median(slow['seconds']):.2f} s" if slow else "",
        f"{large['name']} {large['megabytes']:.0f} MB" if large else "",
    ]  # fmt: skip


def problems(record: Record) -> list[str]:
    """Return all that keeps a model from passing, each in a line; speed and memory are not among it."""
    found = [f"{'**wrong**: ' if one['is_wrong'] else ''}{one['stage']}: {one['what']}" for one in record["failures"]]
    if "died" in record:
        found.append(f"its process ended: {record['died']}")
    elif not record.get("finished"):
        found.append("its process ended early")
    return found


def _missing(records: Mapping[str, Record]) -> str:
    names = [case.name for case in cases() if case.name not in records]
    return f"Not measured yet, {len(names)}: {', '.join(names)}." if names else ""


def _failures(records: Sequence[Record]) -> str:
    found = [f"* `{record['name']}`: {'; '.join(_merged(problems(record)))}" for record in records if problems(record)]
    slow = [f"{r['name']} ({median(r['seconds']):.2f} s)" for r in records if _over(r, SECONDS_ASKED)]
    large = [f"{r['name']} ({r['megabytes']:.0f} MB)" for r in records if r.get("megabytes", 0) > MEGABYTES_ASKED]
    lines = found or ["No model fails."]
    lines += [f"\nOver {SECONDS_ASKED:.0f} s, {len(slow)}: {', '.join(slow) or 'none'}."]
    lines += [f"\nOver {MEGABYTES_ASKED:.0f} MB, {len(large)}: {', '.join(large) or 'none'}."]
    return "\n".join(lines)


def _over(record: Record, seconds: float) -> bool:
    return bool(record.get("seconds")) and median(record["seconds"]) > seconds


def _merged(lines: Sequence[str]) -> list[str]:
    """Return the lines, those that give one reason at several ratios once."""
    stages: dict[str, list[str]] = {}
    for line in lines:
        stage, _, reason = line.rpartition(": ") if line.startswith("its process") else line.partition(": ")
        stages.setdefault(reason, []).append(stage)
    return [f"{', '.join(of)}: {reason}" for reason, of in stages.items()]


def _row(record: Record) -> list[str]:
    if "units" not in record:
        return [
            _bare(record),
            str(record.get("side", "")),
            *[""] * (len(HEAD) - 3),
            (problems(record) or [""])[0][:160],
        ]
    errors, late = record.get("errors", {}), [one for one in record["failures"] if "masked" not in one["stage"]]
    return [
        _bare(record),
        str(record["side"]),
        f"{median(record['seconds']):.2f}",
        f"{record['megabytes']:.0f}",
        str(record["units"]),
        str(record["groups"]),
        f"{record['params_cut']:.1%}",
        f"{record['macs_cut']:.1%}",
        *(_error(errors.get(str(ratio))) for ratio in sorted(RATIOS)),
        _rest(record, [one["stage"] for one in late]),
        "; ".join(f"{reason[:70]} ({count})" for reason, count in record["frozen"][:3]),
    ]


def _bare(record: Record) -> str:
    return str(record["name"]).partition("/")[2]


def _error(error: float | None) -> str:
    if error is None:
        return "—"
    return f"{error:.0e}" if error < TOLERANCE else f"**{error:.0e}**"


def _rest(record: Record, failed: Sequence[str]) -> str:
    if failed:
        return "fails: " + ", ".join(failed)
    return "holds" if record.get("finished") and record.get("passed") else "—"
