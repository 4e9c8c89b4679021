"""The report of attention: what each round closed, what each aim came to, accuracy against cost."""

from collections.abc import Iterator, Sequence

import numpy as np

from elastic.attending.rounds import Round
from elastic.attending.stages import Stage, made_by
from elastic.pruning import Pruned
from elastic.quantise import packed_size
from elastic.reporting import Curves, HeatMap, Histogram, Part, Report, Section, Table

STEPS = ("attended", "settled", "cut", "recovered", "tuned")  # of accuracies, in their order
EDGES = tuple(round(0.05 * number, 2) for number in range(21))
Points = Sequence[tuple[float, float]]


def report_of(pruned: Pruned, stages: Sequence[Stage], whole: float, model: str) -> Report:
    """Return what there is to see of a run; `whole` is the accuracy of the whole network in percent."""
    price, names = str(pruned.recipe["attention"]["price"]), ", ".join(stage.aim.name for stage in stages)
    found = "; ".join(
        f"{stage.aim.name}: {list(stage.top1.values())[-1]:.2f} % at {stage.costs['settled']:.1%} of the {price}"
        for stage in stages
        if stage.top1
    )
    rounds = [each for stage in stages for each in stage.rounds]
    return Report(
        title=f"Attention to channels of {model}: {names}",
        lead=f"The whole network has {whole:.2f} % on the test images. {found}.",
        sections=(
            Section("Networks", _networks(stages), tuple(_tables(stages, whole, price))),
            Section("Levels", _levels(), tuple(_of_levels(pruned, stages, whole))),
            Section("Rounds", _rounds(rounds), tuple(_of_rounds(pruned, stages, price))),
            Section("Training", "Top-1 of what was trained on, augmented.", tuple(_epochs(stages))),
        ),
        settings=pruned.recipe,
    )


def front(points: Points) -> list[tuple[float, float]]:
    """Return the points (cost, accuracy) than which none is as cheap and better, or as good and cheaper; by cost."""
    found: list[tuple[float, float]] = []
    for cost, top1 in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or top1 > found[-1][1]:
            found.append((cost, top1))
    return found


def _networks(stages: Sequence[Stage]) -> str:
    changed = sum(stage.changed for stage in stages)
    return (
        "attended: as learned; settled: closed exactly to the target; cut: without what is closed; recovered: repaired "
        "without labels; tuned: trained after the cut. Accuracies: test images, percent; they decided nothing."
        f"\n\nTo meet targets and bounds exactly {changed:,} units were settled otherwise than their attention says."
    )


def _tables(stages: Sequence[Stage], whole: float, price: str) -> Iterator[Part]:
    heads = ("level", f"{price}, attended", f"{price}, cut", *(f"top-1 {step}" for step in STEPS))
    rows: list[tuple[str | int | float | None, ...]] = [("whole", 1.0, 1.0, *(whole for _ in STEPS))]
    for stage in stages:
        rows.append((stage.aim.name, *stage.costs.values(), *(stage.top1.get(step) for step in STEPS)))
    yield Table("networks", "What each aim came to; costs are shares of the whole network's", heads, tuple(rows))
    points = [(100 * stage.costs["settled"], list(stage.top1.values())[-1]) for stage in stages if stage.top1]
    if points:
        yield _against_cost("accuracy-cost", "Accuracy against cost, test images", price, [(100.0, whole), *points])


def _levels() -> str:
    return "Bytes are those of a file of this level alone; weights of few bits are packed."


def _of_levels(pruned: Pruned, stages: Sequence[Stage], whole: float) -> Iterator[Part]:
    """Yield the levels by their bytes, over bits and pruning."""
    made = made_by(stages)
    rows: list[tuple[str, str, int, float | None]] = [("full", "float", pruned.cost(len(made)).bytes, whole)]
    for number, each in enumerate(made):
        level = len(made) - 1 - number
        size = packed_size(each.network) if each.bits else pruned.cost(level).bytes
        rows.append((pruned.names[level], each.bits or "float", size, next(reversed([*each.top1.values()]), None)))
    yield Table("levels", "What the file holds", ("level", "bits", "bytes", "top-1"), tuple(rows))
    known = [(bits, (size / 1000, top1)) for _, bits, size, top1 in rows if top1 is not None]
    of_bits = {kind: sorted(point for bits, point in known if bits == kind) for kind, _ in known}
    lines = {**of_bits, "Pareto front": front([point for _, point in known])}
    title = "Accuracy against bytes, test images"
    yield Curves("accuracy-bytes", title, "kB", "top-1, %", lines, frozenset(of_bits))


def _rounds(rounds: Sequence[Round]) -> str:
    early = sum(1 for each in rounds if each.top1 is not None and len(each.recovery) < _most(rounds))
    return (
        f"{len(rounds)} rounds, {early} of which had fewer epochs of recovery than the longest. Accuracies are of "
        "held-out images of the training set, which say when accuracy is back."
    )


def _most(rounds: Sequence[Round]) -> int:
    return max(len(each.recovery) for each in rounds)


def _of_rounds(pruned: Pruned, stages: Sequence[Stage], price: str) -> Iterator[Part]:
    named = [(f"{stage.aim.name}, {each.number}", each) for stage in stages for each in stage.rounds]
    heads = ("round", "strength", f"{price}, goal", price, "open units", "epochs", "top-1 closed", "top-1 recovered")
    rows = tuple(
        (
            name, each.strength, each.goal, each.cost, int(each.is_open.sum()), len(each.recovery),
            each.top1_attended, each.top1,
        )
        for name, each in named
    )  # fmt: skip
    yield Table("rounds", "What each round closed; costs are shares of the whole network's", heads, rows)
    groups = pruned.plan.groups
    yield HeatMap(
        "pruned",
        "Channels of each group that attention closed, by round",
        "round",
        "group",
        "closed, %",
        tuple(str(number) for number, _ in enumerate(named, 1)),
        tuple(group.name for group in groups),
        tuple(tuple(_closed(each, np.asarray(group.units)) for _, each in named) for group in groups),
    )
    points = [(100 * each.cost, each.top1) for _, each in named if each.top1 is not None]
    if points:
        yield _against_cost("accuracy-cost-rounds", "Accuracy against cost, round by round, held out", price, points)
    counts = {stage.aim.name: np.histogram(stage.values.clip(0, 1), EDGES)[0].tolist() for stage in stages}
    yield Histogram("attention", "Attention at the end of the rounds", "attention", EDGES, counts)


def _closed(each: Round, units: np.ndarray) -> float:
    return 100 * float(1 - each.is_open[units].mean())


def _against_cost(name: str, title: str, price: str, points: Points) -> Curves:
    lines = {"networks": list(points), "Pareto front": front(points)}
    return Curves(name, title, f"{price}, % of the whole network", "top-1, %", lines, frozenset({"networks"}))


def _epochs(stages: Sequence[Stage]) -> Iterator[Part]:
    """Yield the curves of all stages one after the other, by the number of the epoch."""
    lines: dict[str, list[tuple[float, float]]] = {"attention": [], "recovery": [], "tuning": []}
    number = 0
    for stage in stages:
        phases = [
            phase for each in stage.rounds for phase in (("attention", each.attention), ("recovery", each.recovery))
        ]
        tunings = [("tuning", each.tuning) for each in stage.in_all_bits]
        for name, epochs in [*phases, *tunings]:
            for epoch in epochs:
                number += 1
                lines[name].append((number, epoch.top1))
    known = {name: points for name, points in lines.items() if points}
    yield Curves("training", "Accuracy", "epoch", "top-1, %", known, frozenset({"attention"} & set(known)))
