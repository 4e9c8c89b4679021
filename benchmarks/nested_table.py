"""The table and the picture of `nested.py`."""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from isolated import Record
from records import markdown, setting

ALONE = "alone "
SHARED = ("grow", "joint")


def table(records: Mapping[str, Record]) -> str:
    """Return a page: each way beside networks of their own, and what it needs to be judged."""
    found, levels = accuracies(records), levels_of(records)
    rows = [[way, *(_cell(found.get((way, level))) for level in levels)] for way in ("start", "alone", *SHARED)]
    rows += [[f"{way} - alone", *(_gap(found, way, level) for level in levels)] for way in SHARED]
    recipe = next(record["recipe"] for record in records.values() if "recipe" in record)
    seconds = "; ".join(f"{name}: {record['seconds']:,} s" for name, record in records.items())
    return "\n\n".join(
        [
            "# Levels of one file beside networks of their own",
            "Top-1 on the 10,000 test images of CIFAR-10, in percent, of the last epoch: ResNet-20, the means over "
            f"seeds. `start` is pruned and repaired, not trained. {recipe['epochs']} epochs, learning rate "
            f"{recipe['learning_rate']:g}, distil {recipe['distil']}, {recipe['precision']} "
            "(`python benchmarks/nested.py`).",
            markdown(["", *(f" {level}" for level in levels)], rows),
            f"Training took: {seconds}.",
            setting(("torch",), records.values()),
        ]
    )


def picture(records: Mapping[str, Record], path: Path) -> None:
    """Draw accuracy against level, a line for each way."""
    import matplotlib.pyplot as plt

    found, levels = accuracies(records), levels_of(records)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for way in ("start", "alone", *SHARED):
        there = [level for level in levels if (way, level) in found]
        axes.plot(there, [mean(found[way, level]) for level in there], marker="o", label=way)
    axes.set_ylabel("top-1, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def accuracies(records: Mapping[str, Record]) -> dict[tuple[str, str], list[float]]:
    """Return the accuracies over seeds, by way and level."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in records.values():
        way = "alone" if record["what"].startswith(ALONE) else record["what"]
        for level, top1 in record["accuracy"].items():
            found.setdefault((way, level), []).append(top1)
    return found


def levels_of(records: Mapping[str, Record]) -> list[str]:
    return list(next(record for record in records.values() if record["what"] == "start")["accuracy"])


def _cell(values: list[float] | None) -> str:
    if not values:
        return ""
    return f"{mean(values):.2f}" + (f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else "")


def _gap(found: Mapping[tuple[str, str], list[float]], way: str, level: str) -> str:
    if (way, level) not in found or ("alone", level) not in found:
        return ""
    return f"{mean(found[way, level]) - mean(found['alone', level]):+.2f}"
