"""The report of channel gates: what each aim came to, how gates closed, what is left of each group."""

from collections.abc import Iterator, Sequence

import numpy as np

from elastic.gates.channels.stages import Stage
from elastic.pruning import Pruned
from elastic.reporting import Bars, Curves, Histogram, Part, Report, Section, Table

STEPS = ("soft", "hard", "cut", "recovered", "tuned")  # of accuracies, in their order
EDGES = tuple(round(0.05 * number, 2) for number in range(21))
Line = list[tuple[float, float]]


def report_of(pruned: Pruned, stages: Sequence[Stage], whole: float, model: str) -> Report:
    """Return what there is to see of a run; `whole` is the accuracy of the whole network in percent."""
    price, names = str(pruned.recipe["gates"]["price"]), ", ".join(stage.aim.name for stage in stages)
    found = "; ".join(
        f"{stage.aim.name}: {list(stage.top1.values())[-1]:.2f} % at {stage.costs['settled']:.1%} of the {price}"
        for stage in stages
        if stage.top1
    )
    return Report(
        title=f"Channel gates of {model}: {names}",
        lead=f"The whole network has {whole:.2f} % on the test images. {found}.",
        sections=(
            Section("Networks", _networks(stages), tuple(_tables(stages, whole, price))),
            Section("Gates", _gates(stages), tuple(_pictures(pruned, stages))),
            Section(
                "Training", "Accuracies of held-out images are told where there were some.", tuple(_epochs(stages))
            ),
        ),
        settings=pruned.recipe,
    )


def _networks(stages: Sequence[Stage]) -> str:
    changed = sum(stage.changed for stage in stages)
    return (
        "soft: gates as far open as they were learned; hard: each open or closed; cut: without the closed ones; "
        "recovered: repaired without labels; tuned: trained after the cut. Accuracies: test images, percent."
        f"\n\nTo meet targets and bounds exactly {changed:,} units were settled otherwise than their gates say."
    )


def _tables(stages: Sequence[Stage], whole: float, price: str) -> Iterator[Part]:
    heads = ("level", f"{price}, soft", f"{price}, hard", f"{price}, cut", *(f"top-1 {step}" for step in STEPS))
    rows: list[tuple[str | int | float | None, ...]] = [("whole", 1.0, 1.0, 1.0, *(whole for _ in STEPS))]
    for stage in stages:
        costs = [stage.costs[name] for name in ("soft", "hard", "settled")]
        rows.append((stage.aim.name, *costs, *(stage.top1.get(step) for step in STEPS)))
    yield Table("networks", "What each aim came to; costs are shares of the whole network's", heads, tuple(rows))
    points = [(100 * stage.costs["settled"], stage.top1) for stage in stages if stage.top1]
    if points:
        lines = {
            step: [(100.0, whole), *((share, top1[step]) for share, top1 in points)]
            for step in STEPS
            if all(step in top1 for _, top1 in points)
        }
        yield Curves("accuracy-cost", "Accuracy against cost", f"{price}, % of the whole network", "top-1, %", lines)


def _gates(stages: Sequence[Stage]) -> str:
    closed = [f"{stage.aim.name}: {int((~stage.stays).sum()):,}" for stage in stages]
    return f"Of {len(stages[0].stays):,} gates these are closed: {', '.join(closed)}."


def _pictures(pruned: Pruned, stages: Sequence[Stage]) -> Iterator[Part]:
    groups = pruned.plan.groups
    shares = {
        stage.aim.name: [100 * float(stage.stays[np.asarray(group.units)].mean()) for group in groups]
        for stage in stages
    }
    labels = tuple(group.name for group in groups)
    yield Bars("density", "Channels that stay in each group", "group", "channels that stay, %", labels, shares)
    counts = {stage.aim.name: np.histogram(stage.soft, EDGES)[0].tolist() for stage in stages}
    yield Histogram("gates", "How far gates were open at the end of their training", "gate", EDGES, counts)


def _epochs(stages: Sequence[Stage]) -> Iterator[Part]:
    """Yield the curves of all stages one after the other, by the number of the epoch."""
    epochs = [epoch for stage in stages for epoch in (*stage.epochs, *stage.tuning)]
    trained: dict[str, Line] = {"trained on, augmented": [(n, e.top1) for n, e in enumerate(epochs, 1)]}
    told: dict[str, Line] = {}
    for number, epoch in enumerate(epochs, 1):
        for name, value in epoch.told.items():
            told.setdefault(name, []).append((number, value))
    judged = {name.replace("top1_", "held out, "): line for name, line in told.items() if name.startswith("top1_")}
    yield Curves("training", "Accuracy", "epoch", "top-1, %", {**trained, **judged})
    shares = {name.replace("_", ", "): line for name, line in told.items() if name.endswith(("_soft", "_hard"))}
    shares = {name: line for name, line in shares.items() if not name.startswith("top1")}
    yield Curves("costs", "Density and cost", "epoch", "share of the whole network", shares)
    for name, title in (("gate_temperature", "Temperature of the gates"), ("strength", "Strength of the price")):
        yield Curves(name.replace("_", "-"), title, "epoch", title.lower(), {title.lower(): told[name]})
