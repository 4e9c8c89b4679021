"""The page of `skip.py`."""

import statistics
from collections.abc import Iterable, Mapping

from isolated import Record
from records import markdown, setting

PACKAGES = ("torch", "torchvision")
WAYS = ("skipping", "settled")
PRODUCTS = ("float32", "int_mm", "quantized")
SAID = (
    "ResNet-18 at 224 px, float32, random weights, norms folded into convolutions in all networks alike; medians of "
    "{runs} runs in turns, {clocks} time (`python benchmarks/skip.py`). The 16 convolutions of 3x3 in blocks are gated"
    " by pixels: the first {parts} of the input channels are always computed, the rest where a mask is open. The stem,"
    " the 1x1 convolutions and the classifier are dense. Masks are given, so deciding them is not counted; finding "
    "open pixels, gathering, products and adding are. Random masks open each pixel on its own, correlated ones are "
    "smooth noise (independent values 8 pixels apart) above a threshold. Dense is the faster of contiguous and "
    "channels-last memory; masked computes everything, and multiplies by the mask. Settled opens the gates of layers "
    "that are slower than dense ones with these masks, as `open_where_slower` does: more is computed, in less time. "
    "Fewer MACs are those of the whole network, dense / computed."
)


def markdown_page(records: Mapping[str, Record]) -> str:
    """Return what skipping saves, and what is needed to judge it."""
    runs = [record for record in records.values() if "networks" in record]
    clocks = ", ".join(sorted({record["clock"] for record in runs}))
    parts = " or ".join(f"1/{part}" for part in sorted({record["part"] for record in runs}))
    return "\n\n".join(
        [
            "# What skipping saves",
            SAID.format(runs=runs[0]["runs"], clocks=clocks, parts=parts),
            setting(PACKAGES, records.values(), "threads as said"),
            "## Networks",
            "Milliseconds of a batch.",
            networks(runs),
            "## Layers",
            "Milliseconds of the dense layer and of base sums alone; with random masks how many times faster skipping "
            "is than dense, and the way that was taken (dense: everything is computed, and masked). 0 % closed shows "
            "what deciding costs where everything is open: base sums are always there first. Break-even: the share of "
            "open pixels up to which gathered rows are as fast as the masked rest.",
            layers(runs),
            *integers(records.get("integers")),
        ]
    ) + "\n"  # fmt: skip


def networks(runs: Iterable[Record]) -> str:
    rows = []
    for run in runs:
        for each in run["networks"]:
            dense = min(each["contiguous"], each["channels last"])
            head = (str(run["batch"]), str(run["threads"]), f"1/{run['part']}", each["mask"], f"{each['closed']} %")
            times = tuple(f"{ms:.1f}" for ms in (dense, *(each[way] for way in ("masked", *WAYS))))
            gains = [text for way in WAYS for text in (f"{each['fewer'][way]:.2f}x", f"{dense / each[way]:.2f}x")]
            rows.append((*head, *times, *gains, str(each["opened"])))
    heads = ("batch", "threads", "base", "mask", " closed", " dense", " masked", " skipping", " settled")
    gains = (" fewer MACs, skipping", " faster", " fewer MACs, settled", " faster", " layers opened")
    return markdown((*heads, *gains), rows)


def layers(runs: Iterable[Record]) -> str:
    rows = []
    for run in runs:
        for name in dict.fromkeys(each["layer"] for each in run["layers"]):
            of = {each["closed"]: each for each in run["layers"] if each["layer"] == name}
            dense = statistics.median(min(each["contiguous"], each["channels last"]) for each in of.values())
            base = statistics.median(each["base"] for each in of.values())
            gains = tuple(
                f"{min(each['contiguous'], each['channels last']) / each['skipping']:.2f}x, {each['way']}"
                for each in of.values()
            )
            head = (str(run["batch"]), str(run["threads"]), f"1/{run['part']}", name)
            rows.append((*head, f"{dense:.2f}", f"{base:.2f}", *gains, f"{of[0]['break_even']:.0%}"))
    closed = tuple(f" {each} % closed" for each in dict.fromkeys(each["closed"] for each in run["layers"]))
    return markdown(("batch", "threads", "base", "layer", " dense", " base alone", *closed, " break-even"), rows)


def integers(record: Record | None) -> list[str]:
    if record is None:
        return []
    rows = [
        (f"{each['rows']} x {each['inner']} x {each['outputs']}", *(f"{each[name]:.2f}" for name in PRODUCTS))
        for each in record["products"]
    ]
    said = (
        "Precision gating computes everything with the high bits of inputs, and what is open with the low bits too. "
        "Products of float32, of int8 by `torch._int_mm`, and of int8 by `torch.ops.quantized.linear` with packed "
        f"weights and rounded inputs; one thread, {record['clock']} time, milliseconds. Such processors multiply "
        "no fewer bits than eight: four high bits take as long as all eight, so two passes take longer than one with "
        "all bits, whatever is open."
    )
    return ["## Integers", said, markdown(("product", *(f" {name}" for name in PRODUCTS)), rows)]
