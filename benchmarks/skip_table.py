"""The page of `skip.py`."""

from collections.abc import Iterable, Mapping

from isolated import Record
from records import markdown, setting

PACKAGES = ("torch", "torchvision")
PRODUCTS = ("float32", "int_mm", "quantized")
SAID = (
    "ResNet-18 at 224 px, float32, random weights, norms folded into convolutions in all networks alike; medians of "
    "{runs} runs in turns, {clocks} time (`python benchmarks/skip.py`). The 16 convolutions of 3x3 in blocks are "
    "gated by pixels: the first 1/4 or 1/8 of the input channels are always computed, the rest where a mask is "
    "open. The stem, the 1x1 convolutions and the classifier are dense. Masks are given, so deciding them is not "
    "counted; finding open pixels, gathering, products and adding are. Random masks open each pixel on its own, "
    "correlated ones are smooth noise (independent values 8 pixels apart) above a threshold. Dense is the faster of "
    "contiguous and channels-last memory; masked computes everything, and multiplies by the mask."
)


def markdown_page(records: Mapping[str, Record]) -> str:
    """Return what skipping saves, and what is needed to judge it."""
    runs = [record for record in records.values() if "networks" in record]
    clocks = ", ".join(sorted({record["clock"] for record in runs}))
    return "\n\n".join(
        [
            "# What skipping saves",
            SAID.format(runs=runs[0]["runs"], clocks=clocks),
            setting(PACKAGES, records.values(), "threads as said"),
            "## Networks",
            "Milliseconds of a batch.",
            networks(runs),
            "## Layers",
            "Milliseconds, random masks. Break-even: the share of open pixels up to which gathered rows are as fast as "
            "the masked convolution. Of skipping, 0 % closed shows what asking costs where everything is open.",
            layers(runs),
            *integers(records.get("integers")),
        ]
    ) + "\n"  # fmt: skip


def networks(runs: Iterable[Record]) -> str:
    rows = []
    for run in runs:
        for each in run["networks"]:
            dense = min(each["contiguous"], each["channels last"])
            times = (each[name] for name in ("contiguous", "channels last", "masked", "skipping"))
            head = (str(run["batch"]), str(run["threads"]), f"1/{run['part']}", each["mask"], f"{each['closed']} %")
            rows.append((*head, *(f"{ms:.1f}" for ms in times), f"{dense / each['skipping']:.2f}x"))
    heads = ("batch", "threads", "base", "mask", " closed", " contiguous", " channels last", " masked", " skipping")
    return markdown((*heads, " dense / skipping"), rows)


def layers(runs: Iterable[Record]) -> str:
    rows = []
    for run in runs:
        for each in run["layers"]:
            dense = min(each["contiguous"], each["channels last"])
            times = (dense, each["base"], each["masked"], each["skipping"])
            head = (str(run["batch"]), str(run["threads"]), f"1/{run['part']}", each["layer"], f"{each['closed']} %")
            ratio = f"{dense / each['skipping']:.2f}x"
            rows.append((*head, *(f"{ms:.2f}" for ms in times), ratio, each["way"], f"{each['break_even']:.0%}"))
    heads = ("batch", "threads", "base", "layer", " closed", " dense", " base alone", " masked", " skipping")
    return markdown((*heads, " dense / skipping", "way", " break-even"), rows)


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
