"""The report of adaptive gates: accuracy and mean cost, how often each channel is open, training."""

from collections.abc import Sequence

import numpy as np

from elastic.gates.adaptive.gating import Adapted
from elastic.plan import Group
from elastic.reporting import Bars, Curves, Histogram, Report, Section, Table
from elastic.training import Epoch

EDGES = tuple(round(0.05 * number, 2) for number in range(21))


def report_of(
    groups: Sequence[Group], found: Adapted, epochs: Sequence[Epoch], whole: float, quantity: str, model: str
) -> Report:
    """Return what there is to see; `whole` is the accuracy of the network without gates in percent."""
    heads = ("network", "top-1", f"{quantity}, mean of images", "standard deviation")
    rows = (("whole", whole, 1.0, 0.0), ("adaptive gates", found.top1, found.share, found.deviation))
    opened = np.asarray(found.opened)
    shares = [100 * float(opened[np.asarray(group.units)].mean()) for group in groups]
    top1 = {"trained on, augmented": [(float(epoch.epoch), epoch.top1) for epoch in epochs]}
    costs = {name: [(float(e.epoch), e.told[f"{quantity}_{name}"]) for e in epochs] for name in ("soft", "hard")}
    return Report(
        title=f"Adaptive gates of {model}",
        lead=f"{found.top1:.2f} % of {found.images:,} test images at {found.share:.1%} of the {quantity} in the mean; "
        f"the whole network has {whole:.2f} %.",
        sections=(
            Section("Network", SAID, (Table("network", "Accuracy and cost", heads, rows),)),
            Section(
                "Gates",
                "How often channels are open, over all test images.",
                (
                    Bars(
                        "density", "Channels that are open, in the mean of images", "group", "open, %",
                        tuple(group.name for group in groups), {"open": shares},
                    ),
                    Histogram(
                        "opened", "Share of images for which a channel is open", "share of images", EDGES,
                        {"channels": np.histogram(opened, EDGES)[0].tolist()},
                    ),
                ),
            ),
            Section(
                "Training",
                "What each epoch told.",
                (
                    Curves("training", "Accuracy", "epoch", "top-1, %", top1),
                    Curves("costs", "Mean cost of the images of an epoch", "epoch", "share of the whole", costs),
                ),
            ),
        ),
    )  # fmt: skip


SAID = (
    "Each image decides which channels it needs. What is closed is multiplied by zero, so these costs are counted: an "
    "image that closes half of the channels takes as long as one that closes none."
)
