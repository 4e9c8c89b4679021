"""The report of dynamic gates: what each layer computed, accuracy against that, where images were computed in full."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from elastic.dynamic.channel.saving import savings_table
from elastic.dynamic.seeing import Seen
from elastic.dynamic_gating import ChannelGating, PrecisionGating
from elastic.reporting import Bars, Curves, HeatMap, Part, Report, Section, Table

Rows = Sequence[Mapping[str, Any]]


def report_of(seen: Sequence[Seen], rows: Rows, gating: ChannelGating | PrecisionGating, file: str) -> Report:
    """Return what there is to see of gated levels; `rows` are all levels of the file, with what was measured."""
    found = "; ".join(f"{each.level.name}: {_told(each)}" for each in seen)
    sections = [Section("Levels", COUNTED, (_levels(rows),))]
    for number, each in enumerate(seen):
        text = f"On {each.spending.all.images:,} test images: {each.spending}."
        sections.append(Section(each.level.name, text, tuple(_parts(each, number))))
    kind = "Channel" if isinstance(gating, ChannelGating) else "Precision"
    return Report(f"{kind} gates on {file}", f"{found}.", tuple(sections), gating.model_dump(mode="json"))


COUNTED = (
    "Each position of an input decides what is computed in full. Shares are counted on all test images: of MACs of the "
    "whole network with channel gates, of operations of bits in gated layers with precision gates. Time is another "
    "matter: only what a whole row or channel leaves out can be skipped."
)

SAVED = (
    "One test image on this machine: the network without gates, with gates that mask, and with gates that skip, in "
    "turns. A layer that skipping makes slower can be opened for good: `elastic dynamic skip --open-slower`."
)


def _told(each: Seen) -> str:
    metrics = each.level.metrics
    accuracy = f"{metrics['top1']:.2f} % of the test images at " if "top1" in metrics else ""
    return f"{accuracy}{metrics.get('computed', 100 * each.spending.all.share):.1f} % of {each.spending.unit}"


def _levels(rows: Rows) -> Table:
    heads = ("level", "params", "MACs, all gates open", "bytes", "top-1, %", "open, %", "computed, %")
    keys = ("level", "params", "macs", "bytes", "top1", "open", "computed")
    return Table("levels", "What the file holds", heads, tuple(tuple(row.get(key) for key in keys) for row in rows))


def _parts(each: Seen, number: int) -> Iterator[Part]:
    layers = each.spending.layers
    shares = {
        "open": [100 * of.open_share for of in layers.values()],
        "computed": [100 * of.share for of in layers.values()],
    }
    yield Bars(f"layers-{number}", "Gates that are open, and what is computed", "layer", "%", tuple(layers), shares)
    if each.savings:
        yield replace(savings_table(each.savings), name=f"savings-{number}", note=SAVED)
    points = sorted((100 * point.spent.share, point.top1) for point in each.points)
    learned = [(100 * point.spent.share, point.top1) for point in each.points if not point.shift]
    lines = {"thresholds moved": points, "as learned": learned}
    yield Curves(
        f"accuracy-computed-{number}", "Accuracy against what is computed, thresholds moved up and down",
        f"{each.spending.unit}, %", "top-1, %", lines, frozenset({"as learned"}),
    )  # fmt: skip
    for place, (image, heat) in enumerate(zip(each.images, each.maps, strict=True)):
        yield _map(f"image-{number}-{place}", f"Test image {place}", "brightness, normalised", image)
        yield _map(f"heat-{number}-{place}", f"Where test image {place} was computed", "computed, %", 100 * heat)
    if each.epochs:
        top1 = {"trained on, augmented": [(float(epoch.epoch), epoch.top1) for epoch in each.epochs]}
        yield Curves(f"training-{number}", "Accuracy in training", "epoch", "top-1, %", top1)
        costs = [(float(epoch.epoch), 100 * epoch.told["cost"]) for epoch in each.epochs]
        yield Curves(
            f"costs-{number}", "What was computed in training", "epoch", f"{each.spending.unit}, %", {"cost": costs}
        )


def _map(name: str, title: str, value: str, values: Tensor) -> HeatMap:
    rows, columns = values.shape
    numbers = tuple(tuple(round(float(each), 3) for each in row) for row in values)
    return HeatMap(
        name, title, "pixel", "row", value, tuple(map(str, range(columns))), tuple(map(str, range(rows))), numbers
    )
