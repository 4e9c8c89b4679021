"""The table of `weight_gates.py`."""

from collections.abc import Mapping, Sequence
from statistics import mean

from isolated import Record
from records import markdown, setting

from elastic.sizes import size_text

TWIN = "dense longer"
STAGES = ("soft", "hard", "fine-tuned", "cut")
HEAD = ("", " zeros", " soft", " hard", " tuned", " cut", " less than the twin", " units cut", " bytes", " epochs")


def table(records: Mapping[str, Record]) -> str:
    """Return a page: gates beside magnitude pruning, and what it needs to be judged."""
    by_name: dict[str, list[Record]] = {}
    for record in sorted(records.values(), key=_place):
        by_name.setdefault(record["what"], []).append(record)
    how = [record["how"] for record in records.values() if "gates" in record][-1]
    layers = ", ".join(f"`{pattern}`" for pattern in how.get("layers", ["*"]))
    twin = mean(record["accuracy"]["fine-tuned"] for record in by_name[TWIN]) if TWIN in by_name else None
    gates = {name: found for name, found in by_name.items() if "gates" in found[0]}
    seconds = "; ".join(f"{name}: {record['seconds']:,} s" for name, record in records.items())
    return "\n\n".join(
        [
            "# Gates on single weights beside magnitude pruning",
            "Top-1 on the 10,000 test images of CIFAR-10, in percent, of the last epoch: the network of self-pruning "
            f"layers (`elastic/self_pruning`). Weights of {layers} have gates ({how['opening']}). `dense` has "
            f"{how['epochs']} epochs; all others start from it: gates with "
            f"{how['gate_epochs']} epochs, then exact zeros and {how['tune_epochs']} of tuning; `magnitude` with "
            f"{how['tune_epochs']}, `magnitude long` and `dense longer`, the twin, with {how['gate_epochs']} + "
            f"{how['tune_epochs']}. AdamW, learning rate {how['learning_rate']:g}, one-cycle, {how['precision']} "
            "(`python benchmarks/weight_gates.py`). `soft` is measured with gates, `hard` with exact zeros, `cut` "
            "without the units that zeros had left idle, `bytes` is its sparse file.",
            markdown(HEAD, [_row(name, found, twin) for name, found in by_name.items()]),
            "Zeros by layer, and lambda at the end:",
            markdown(("", *(f" {layer}" for layer in _layers(gates)), " lambda"), _of_layers(gates)),
            "How far the gates are open at the end of their training, in percent of them, in fifths of the way; behind "
            "it those of the first fiftieth:",
            markdown(("", *(f" {a:.1f} to {a + 0.2:.1f}" for a in (0, 0.2, 0.4, 0.6, 0.8)), " to 0.02"), _open(gates)),
            f"Training took: {seconds}. Other work ran on the same two cores, so one run alone takes less.",
            setting(("torch",), records.values()),
        ]
    )


def _place(record: Record) -> tuple[bool, str, str]:
    """Return where a record stands: dense networks first, then each with gates before its controls."""
    name, _, of = record["what"].partition(" as ")
    return not name.startswith("dense"), of or name, name


def _row(name: str, found: Sequence[Record], twin: float | None) -> list[str]:
    stages = [[record["accuracy"][stage] for record in found if stage in record["accuracy"]] for stage in STAGES]
    last = mean(record["accuracy"].get("cut", record["accuracy"]["fine-tuned"]) for record in found)
    units = [record["units"] for record in found if "units" in record]
    return [
        name,
        f"{mean(record['sparsity'] for record in found):.1%}" if "sparsity" in found[0] else "",
        *(f"{mean(each):.2f}" if each else "" for each in stages),
        "" if twin is None or name in ("dense", TWIN) else f"{twin - last:+.2f}",
        f"{mean(cut for cut, _ in units):.0f} of {units[0][1]}" if units else "",
        size_text(round(mean(record["bytes"] for record in found))),
        str(found[0]["epochs"]),
    ]


def _layers(gates: Mapping[str, Sequence[Record]]) -> list[str]:
    return [name.removesuffix(".weight") for found in list(gates.values())[:1] for name in found[0]["layers"]]


def _of_layers(gates: Mapping[str, Sequence[Record]]) -> list[list[str]]:
    return [
        [name, *(f"{share:.1%}" for share in found[0]["layers"].values()), f"{found[0]['gates']['strength']:.1e}"]
        for name, found in gates.items()
    ]


def _open(gates: Mapping[str, Sequence[Record]]) -> list[list[str]]:
    rows = []
    for name, found in gates.items():
        counts = found[0]["counts"]
        fifth, total = len(counts) // 5, sum(counts)
        parts = [sum(counts[start : start + fifth]) for start in range(0, len(counts), fifth)]
        rows.append([name, *(f"{part / total:.1%}" for part in [*parts, counts[0]])])
    return rows
