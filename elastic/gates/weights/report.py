"""The report of weight gates: accuracy against sparsity beside magnitude pruning, layers, histograms, training."""

from collections.abc import Iterator, Mapping, Sequence

from elastic.gates.weights.sweeping import Outcome
from elastic.reporting import Bars, Curves, Histogram, Part, Report, Section, Table

STAGES = ("soft", "hard", "fine-tuned", "cut")


def report_of(outcomes: Sequence[Outcome], whole: float, sizes: Mapping[str, int], model: str) -> Report:
    """Return what there is to see of a sweep.

    `whole` is the accuracy of the dense network in percent; `sizes` are the bytes of sparse files by the name of the
    aim, and of the dense one as "dense".
    """
    found = "; ".join(
        f"{each.name}: {each.found.measured.get('cut', 0):.2f} % with {each.found.sparsity.overall:.1%} zeros"
        for each in outcomes
    )
    return Report(
        title=f"Weight gates of {model}",
        lead=f"The dense network has {whole:.2f} % on the test images. {found}.",
        sections=(
            Section("Networks", NETWORKS, tuple(_networks(outcomes, whole, sizes))),
            Section("Zeros", "Where zeros are, and how far gates were open before.", tuple(_zeros(outcomes))),
            Section("Training", "What each epoch told.", tuple(_epochs(outcomes))),
        ),
        settings={each.name: each.found.recipe for each in outcomes},
    )


NETWORKS = (
    "soft: gates as they were learned; hard: weights of closed gates are exactly zero; fine-tuned: trained around the "
    "zeros, which stay; cut: without channels and neurons that were left idle. Magnitude pruning has the same share of "
    "zeros, and is tuned for as many epochs as gates and tuning took together. Accuracies: test images, percent."
)


def _networks(outcomes: Sequence[Outcome], whole: float, sizes: Mapping[str, int]) -> Iterator[Part]:
    heads = ("aim", "zeros", "units cut", *(f"top-1 {stage}" for stage in STAGES), "magnitude", "bytes, sparse file")
    rows: list[tuple[str | int | float | None, ...]] = [
        ("dense", 0.0, 0, *(whole for _ in STAGES), None, sizes.get("dense"))
    ]
    for each in outcomes:
        made = each.found
        top1 = [made.measured.get(stage) for stage in STAGES]
        last = each.control.get("cut")
        rows.append((each.name, made.sparsity.overall, int(made.levels.sum()), *top1, last, sizes.get(each.name)))
    yield Table("networks", "What each aim came to", heads, tuple(rows))
    lines = {
        "gates": [(100 * each.found.sparsity.overall, each.found.measured["cut"]) for each in outcomes],
        "magnitude": [(100 * each.found.sparsity.overall, each.control["cut"]) for each in outcomes if each.control],
    }
    shown = {name: sorted(line) for name, line in lines.items() if line}
    points = frozenset(name for name, line in shown.items() if len(line) == 1)
    yield Curves("accuracy-sparsity", "Accuracy against zeros", "zeros, %", "top-1, %", shown, points)


def _zeros(outcomes: Sequence[Outcome]) -> Iterator[Part]:
    labels = tuple(outcomes[0].found.sparsity.layers)
    values = {each.name: [100 * each.found.sparsity.layers[name] for name in labels] for each in outcomes}
    yield Bars("sparsity", "Zeros in each layer", "weight", "zeros, %", labels, values)
    counts = {each.name: list(each.found.histogram.counts) for each in outcomes}
    edges = outcomes[0].found.histogram.edges
    yield Histogram("gates", "How far gates were open at the end of their training", "gate", edges, counts)


def _epochs(outcomes: Sequence[Outcome]) -> Iterator[Part]:
    top1, told = {}, {}
    for each in outcomes:
        epochs = (*each.found.gating, *each.found.tuning)
        top1[each.name] = [(number, epoch.top1) for number, epoch in enumerate(epochs, 1)]
        for name in ("soft", "hard"):
            told[f"{each.name}, {name}"] = [(e.epoch, 100 * e.told[f"sparsity_{name}"]) for e in each.found.gating]
    yield Curves("training", "Accuracy of augmented images that are trained on", "epoch", "top-1, %", top1)
    yield Curves("closing", "Gates that are closed", "epoch", "closed, %", told)
