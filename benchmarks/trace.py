"""Time to a plan, beside torch-pruning on the way to the same knowledge: its graph, and all groups listed.

    python benchmarks/trace.py                                 # torchvision; resumes like zoo.py
    python benchmarks/trace.py 'timm/*'                        # more of the list, into the same records
    python benchmarks/trace.py --table docs/trace-times.md     # nothing is run; the records become a table

Ours is `elastic.trace`: labels, costs, and the trial of every group on a copy. Theirs is `DependencyGraph`, built on
the same model with the same image, and a list of `get_all_groups`: no costs, and nothing is tried. It runs the model
once on real weights, on the CPU. Each side of each model has a process of its own (`isolated.py`) with one thread,
10 GiB and a limit of time (`--seconds`): the median of three after a first run; of one, where the first took over 20 s;
and the first itself where the limit left no time for another.
"""

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from isolated import Record, Stages, failure, isolated, median, report, seconds_again, seconds_of
from records import arguments, go_through, markdown, read_records, setting
from torch import Tensor, nn
from zoo_models import CLASSIFICATION, DETECTION, SEGMENTATION, Case, cases, chosen

SECONDS = 180.0  # for a process
HEAD = ("model", " image", " elastic, s", " torch-pruning, s", " ratio")
ALONE = "torchvision/densenet201"


def main() -> None:
    parser = arguments("Time elastic.trace and torch-pruning's graph.", "build/trace.jsonl", SECONDS)
    parser.add_argument("--side", choices=SIDES, help="measure one of the two only: for a look, nothing is kept")
    asked = parser.parse_args()
    if asked.report:
        [case] = chosen(asked.models)
        report(lambda: measure(case, SIDES[asked.side]), asked.report, asked.memory)
    elif asked.table:
        asked.table.write_text(page(read_records(asked.out)))
    else:
        listed = chosen(asked.models or [CLASSIFICATION, SEGMENTATION, DETECTION])
        go_through(listed, asked, lambda case: both(case, asked.seconds), line)


def both(case: Case, seconds: float) -> Record:
    """Return the records of both sides, one process after the other."""
    return {
        side: isolated([__file__, case.name, "--side", side], seconds=seconds, memory=case.memory) for side in SIDES
    }


def measure(case: Case, action: Callable[[nn.Module, Tensor], object]) -> Stages:
    record: Record = {}
    warnings.simplefilter("ignore")
    try:
        model, example = case.build()
        record["side"] = example.shape[-1]
        record["first_seconds"] = first = seconds_of(lambda: action(model, example))
        yield record
        record["seconds"] = seconds_again(lambda: action(model, example), first)
    except Exception as reason:
        record["failure"] = failure("trace", reason)
    yield record


def ours(model: nn.Module, example: Tensor) -> Any:
    import elastic

    return elastic.trace(model, example)


def theirs(model: nn.Module, example: Tensor) -> Any:
    import torch_pruning

    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    return list(graph.get_all_groups())


SIDES = {"elastic": ours, "torch-pruning": theirs}


def seconds(record: Record) -> float | None:
    """Return the median of a side, None if it has no result."""
    found = record.get("seconds") or ([record["first_seconds"]] if "first_seconds" in record else [])
    return median(found) if found and "failure" not in record else None


def outcome(record: Record) -> str:
    """Return the seconds of a side, or why there are none."""
    if (found := seconds(record)) is not None:
        return f"{found:.2f}"
    return str(record["failure"]["what"] if "failure" in record else record.get("died", "no result"))[:110]


def line(record: Record) -> str:
    return f"{record['name']}: " + ", ".join(f"{side} {outcome(record[side])}" for side in SIDES)


def page(records: Mapping[str, Record]) -> str:
    """Return the Markdown page: the sums first, then every model."""
    known = [records[case.name] for case in cases() if case.name in records]
    parts = [
        "# Time to a plan",
        "    python benchmarks/trace.py\n    python benchmarks/trace.py --table docs/trace-times.md",
        setting(("torch", "torchvision", "timm", "torch-pruning"), known),
        " ".join((__doc__ or "").split("\n\n")[2].split()),
        "\n".join(f"* {claim}" for claim in summary(known)),
        markdown(HEAD, [row(record) for record in known]),
    ]
    return "\n\n".join(parts) + "\n"


def summary(records: list[Record]) -> list[str]:
    """Return what the table comes to, a sentence each."""
    pairs = {r["name"]: tuple(seconds(r[side]) for side in SIDES) for r in records}
    shared = {name: (own, other) for name, (own, other) in pairs.items() if own is not None and other is not None}
    own, other = (sum(pair[side] for pair in shared.values()) for side in (0, 1))
    ratios = [theirs / ours for ours, theirs in shared.values()]
    lines = [
        f"{len(records)} models; elastic has a plan of {sum(p[0] is not None for p in pairs.values())} of them, "
        f"torch-pruning its groups of {sum(p[1] is not None for p in pairs.values())}.",
    ]
    if shared:
        lines.append(
            f"The {len(shared)} that both can do: {own:.1f} s and {other:.1f} s in all, {other / own:.1f}x; "
            f"the median of the ratios is {median(ratios):.1f}x, from {min(ratios):.1f}x to {max(ratios):.1f}x."
        )
    if ALONE in shared:
        one, two = shared[ALONE]
        lines.append(f"DenseNet-201 alone: {one:.2f} s and {two:.2f} s, {two / one:.1f}x.")
    return lines


def row(record: Record) -> list[str]:
    own, other = (seconds(record[side]) for side in SIDES)
    pixels = next((str(record[side]["side"]) for side in SIDES if "side" in record[side]), "")
    ratio = f"{other / own:.1f}x" if own is not None and other is not None else ""
    return [str(record["name"]), pixels, *(outcome(record[side]) for side in SIDES), ratio]


if __name__ == "__main__":
    sys.exit(main())
