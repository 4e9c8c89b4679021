"""The table and the picture of `nested.py`."""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from isolated import Record
from records import markdown, setting

from elastic.reporting.looks import ACCENT, INK, SOFT, new_figure, tidy

ALONE = "alone "
SHARED = ("grow", "joint")
LOOKS = {  # label, color, line, marker
    "start": ("pruned and repaired, not trained", SOFT, "--", "o"),
    "joint": ("one file, trained jointly", "#c26a1b", "-", "s"),
    "grow": ("one file, grown", ACCENT, "-", "o"),
    "alone": ("each in a network of its own", INK, "none", "x"),
}


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
            "(`python benchmarks/nested.py`). `joint` trains all levels at once; `grow` does so for three quarters of "
            "the epochs and then trains each by itself, with what it shares with smaller ones frozen; `alone` is each "
            "level in a network of its own. With its real budget, on a GPU: "
            "`python benchmarks/nested.py --epochs 100 --folder build/gpu`.",
            markdown(["", *(f" {level}" for level in levels)], rows),
            f"Training took: {seconds}. Other work ran on the same two cores, so one run alone takes less.",
            setting(("torch",), records.values()),
        ]
    )


def draw(records: Mapping[str, Record], path: Path) -> None:
    """Draw accuracy against the share of the MACs, a line for each way."""
    found, levels = accuracies(records), levels_of(records)
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    for way, (label, color, line, marker) in LOOKS.items():
        there = [level for level in levels if (way, level) in found]
        top1 = [mean(found[way, level]) for level in there]
        axes.plot([_percent(level) for level in there], top1, line, color=color, marker=marker, label=label)
    axes.set_xlabel("multiply-accumulates, % of the whole network", color=INK)
    axes.set_ylabel("top-1 on 10,000 test images, %", color=INK)
    axes.set_ylim(bottom=min(mean(top1) for (way, _), top1 in found.items() if way != "start") - 1.5)
    tidy(axes)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=144)


def _percent(level: str) -> float:
    return float(level.partition("=")[2].rstrip("%")) if "=" in level else 100.0


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
