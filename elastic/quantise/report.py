"""The report of few bits: accuracy and bytes of each level beside floats, bits and ranges of layers, the training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from elastic.quantise.outcomes import Outcome
from elastic.reporting import Bars, Curves, Part, Report, Section, Table
from elastic.sizes import size_text

STEPS = ("float", "calibrated", "trained")  # of accuracies, in their order
LEVELS = (
    "float: the level that it was made of; calibrated: rounded, with ranges that images showed; trained: with rounding "
    "in every step. Accuracies: test images, percent; they decided nothing. Bytes are those of a file of this level "
    "alone; weights of few bits are packed."
)
LAYERS = (
    "Bits are those of weights and of inputs, bytes those of the weight with its steps. A clip is the largest input "
    "that stays what it is."
)


def report_of(outcomes: Sequence[Outcome], source: str, settings: Mapping[str, Any]) -> Report:
    """Return what there is to see of levels in few bits; `source` names what they were made of."""
    layers = [part for number, each in enumerate(outcomes) for part in _layers(number, each)]
    training = tuple(_training(outcomes))
    return Report(
        title=f"{source} in few bits: {', '.join(each.name for each in outcomes)}",
        lead=" ".join(_lead(each) for each in outcomes),
        sections=(
            Section("Levels", LEVELS, tuple(_levels(outcomes))),
            Section("Layers", LAYERS, tuple(layers)),
            *([Section("Training", "Top-1 and loss of what was trained on, augmented.", training)] if training else ()),
        ),
        settings=settings,
    )


def _lead(each: Outcome) -> str:
    found = f"{each.name} takes {size_text(each.bytes)}, in floats {size_text(each.bytes_of_floats)}"
    if not each.top1:
        return f"{found}."
    step, last = list(each.top1.items())[-1]
    return f"{found}; {step}, it has {last:.2f} % on the test images, in floats {each.top1['float']:.2f} %."


def _levels(outcomes: Sequence[Outcome]) -> Iterator[Part]:
    heads = ("level", "made of", "bytes, floats", "bytes", "share", *(f"top-1 {step}" for step in STEPS))
    rows = tuple(
        (
            each.name, each.source, each.bytes_of_floats, each.bytes, each.bytes / each.bytes_of_floats,
            *(each.top1.get(step) for step in STEPS),
        )
        for each in outcomes
    )  # fmt: skip
    yield Table("levels", "Levels in few bits; the share is of the bytes of floats", heads, rows)
    names = tuple(each.name for each in outcomes)
    tops = {step: [each.top1[step] for each in outcomes] for step in STEPS if all(step in e.top1 for e in outcomes)}
    if tops:
        yield Bars("accuracy", "Accuracy of each level", "level", "top-1, %", names, tops)
    sizes = {"floats": [each.bytes_of_floats for each in outcomes], "few bits": [each.bytes for each in outcomes]}
    yield Bars("bytes", "Bytes of each level", "level", "bytes", names, sizes)


def _layers(number: int, outcome: Outcome) -> Iterator[Part]:
    ends = ("calibrated", "trained") if outcome.epochs else ("calibrated",)
    heads = (
        "layer", "bits", "bytes, floats", "bytes", "least step of weights", "largest", "signed inputs",
        *(f"clip, {end}" for end in ends),
    )  # fmt: skip
    rows = tuple(
        (
            each.name, each.bits, each.bytes_of_floats, each.bytes, *(each.steps or (None, None)), each.is_signed,
            *(each.clips or (None, None))[: len(ends)],
        )
        for each in outcome.layers
    )  # fmt: skip
    yield Table(f"layers-{number}", f"Layers of {outcome.name}", heads, rows)
    rounded = [(each.name, each.clips) for each in outcome.layers if each.clips is not None]
    clips = {end: [found[place] for _, found in rounded] for place, end in enumerate(ends)}
    names = tuple(name for name, _ in rounded)
    yield Bars(f"clips-{number}", f"Clips of inputs of {outcome.name}", "layer", "clip of inputs", names, clips)


def _training(outcomes: Sequence[Outcome]) -> Iterator[Part]:
    trained = [each for each in outcomes if each.epochs]
    if not trained:
        return
    tops = {each.name: [(epoch.epoch, epoch.top1) for epoch in each.epochs] for each in trained}
    losses = {each.name: [(epoch.epoch, epoch.loss) for epoch in each.epochs] for each in trained}
    yield Curves("training", "Accuracy", "epoch", "top-1, %", tops)
    yield Curves("loss", "Loss", "epoch", "loss, nats", losses)
