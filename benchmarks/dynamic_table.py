"""The table of `dynamic.py`."""

from collections.abc import Mapping

from isolated import Record
from records import markdown, setting

HEAD = (
    "gates", " top-1", " below its twin", " open", " computed", " times fewer", " bits in the mean", " epochs",
    " learning rate", " training, s",
)  # fmt: skip
GATED = {"resnet20_cifar10": "both convolutions of each block of ResNet-20", "vgg6_bn_cifar10": "VGG-6 but its first"}
SAID = (
    "At half of the MACs of the whole network channel gates have 91.32, 0.41 below it (0.7 was aimed at), after an "
    "hour on two cores of an Intel Xeon (all else ran on an AMD EPYC, which is slower): in a network that is cut to "
    "67 % of its MACs first, with base paths that read half of the channels (`--levels macs=67% --parts 2 --bases "
    "strongest --budgets 0.497 --epochs 14 --learning-rate 0.05 --ramp 0.5 --threads 2`). The same checkpoint cut to "
    "50 % for good has 90.52 after 8 epochs, to 75 % 91.44 (nested.md). Both the 67 % and the half were chosen by "
    "trainings of 200 steps, judged on training images that were left out. With base paths of a quarter, as in the "
    "other rows, the network of 75 % had 90.88, 90.96 and 91.00 after 10 (2.04 times fewer), 14 and 22 epochs; that "
    "of 70 %, taught by ResNet-56 and with averaged weights, 90.66 after 11. In the whole network gates have to close"
    " more, and in the fewer epochs that they had they lose more. Base paths that read the strongest channels, and "
    "gates that are open at first, came nearer than the first channels and half-open gates. In ResNet-20 the second "
    "convolutions of blocks lead to no activation, so a low sum does not say that nothing is lost: in the first stage"
    " of that network 52 to 68 % of their gates stay open, 9 to 13 % of the others."
)
PUBLISHED = (
    ("channel gating, ResNet-18, CIFAR-10", "94.56", "0.04", "", "", "5.49 (FLOPs)", ""),
    ("precision gating, ResNet-20, 3/2 bits", "91.2", "", "9.8 %", "", "", "2.1", ""),
    ("precision gating, ResNet-20, 2/1 bits", "90.6", "", "28.5 %", "", "", "1.29", ""),
)


def table(records: Mapping[str, Record]) -> str:
    """Return a page: what was reached, what was published, and what it needs to be judged."""
    first, gated = next(iter(records.values())), {record["network"] for record in records.values()}
    recipe, layers = first["recipe"], " and ".join(text for name, text in GATED.items() if name in gated)
    twins = {(record["network"], "channel"): record["float"] for record in records.values()}
    for name, record in records.items():
        if "static twin" in name:
            twins[record["network"], record["kind"]] = record["top1"]
    floats = ", ".join(dict.fromkeys(f"{each['network']} {each['float']:.2f}" for each in records.values()))
    how = f"training (batch {recipe['batch']}, distil {recipe['distil']}, {recipe['precision']})"
    return "\n\n".join(
        [
            "# Gates that inputs decide",
            f"Top-1 on the 10,000 test images of CIFAR-10, in percent, after {how} (`python "
            f"benchmarks/dynamic.py`). Float networks have: {floats}. Gates are in {layers}; computed: "
            "share of the MACs of the whole network with channel gates, of the operations of bits in gated layers with "
            "precision gates, as counted on the test images. Twin: the network itself; for precision gates the same "
            f"bits without gates, trained alike.{cut_first(records)}{taught(records)}",
            markdown(HEAD, [row(name, record, twins) for name, record in records.items()]),
            SAID,
            "Published, for comparison: trained from nothing for hundreds of epochs, on other networks where it says "
            "so, and for precision gating with a full-precision network of 91.7.",
            markdown(HEAD[:7], PUBLISHED),
            setting(("torch",), records.values(), threads(records)),
        ]
    )


def cut_first(records: Mapping[str, Record]) -> str:
    """Return what networks had that were cut before they got gates."""
    levels = {name: name.partition(" from ")[2].partition(",")[0].partition(" taught")[0] for name in records}
    found = {level: records[name].get("before") for name, level in levels.items()}
    return "".join(
        f" From {level}: in the network as it is cut to that first, {top1:.2f} without training."
        for level, top1 in found.items()
        if top1 is not None
    )


def taught(records: Mapping[str, Record]) -> str:
    """Return what other networks than their own taught, and what was averaged."""
    teachers = {each["teacher"]: each["teacher_top1"] for each in records.values() if each.get("teacher")}
    told = " Taught by {}, with {:.2f}, where it says so; else by the network itself."
    said = [told.format(*each) for each in teachers.items()]
    averaged = {name: each["recipe"].get("average") for name, each in records.items()}
    return "".join(said) + "".join(
        f" The weights of {name} are a moving average (decay {decay:g} a step)."
        for name, decay in averaged.items()
        if decay is not None
    )


def threads(records: Mapping[str, Record]) -> str:
    """Return on how many threads networks were trained."""
    told = [f"{each['threads']} for {name}" for name, each in records.items() if each["threads"] > 1]
    return "; ".join(["one thread", *told])


def row(name: str, record: Record, twins: Mapping[tuple[str, str], float]) -> list[str]:
    twin = twins.get((record["network"], record["kind"]))
    return [
        name, f"{record['top1']:.2f}", "" if twin is None else f"{twin - record['top1']:.2f}",
        f"{record['open']:.1%}", f"{record['share']:.1%}", f"{record['fewer']:.2f}",
        f"{record['bits']:.2f}" if "bits" in record else "", str(record["recipe"]["epochs"]),
        f"{record['recipe']['learning_rate']:g}", str(record["seconds"]),
    ]  # fmt: skip
