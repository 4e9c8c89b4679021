"""The table and the picture of `attention.py`."""

from collections.abc import Mapping
from pathlib import Path

from isolated import Record
from records import markdown, setting

from elastic.attending.report import front

DENSE = 93.51  # published, whole
# Published: best test accuracy by the share of the size that is left, W8A8 (ours is of the last epoch).
PUBLISHED = {1.0: 93.51, 0.8: 90.86, 0.56: 89.40}
W4A8 = "89.2 with the most pruning"

HEAD = (
    "level",
    " size",
    " kB",
    " params",
    " MACs",
    " top-1",
    " drop",
    " published",
    " its drop",
    " settled",
    " recovered",
)


def table(records: Mapping[str, Record]) -> str:
    """Return a page: what was reached, and what it needs to be judged."""
    parts = ["# ResNet-32 in few bits, pruned by attention"]
    for record in records.values():
        recipe, settings = record["recipe"], record["settings"]
        whole = " and ".join(str(epochs) for epochs in record["whole"])
        parts += [
            "Top-1 on the 10,000 test images of CIFAR-10, in percent, of the last epoch. "
            f"{record['training_seconds'] / 60:.0f} minutes of training, threads: {record['threads']}; "
            f"{settings['rounds']} round for each size (attention on {settings['images']:.0%} of the images, up to "
            f"{settings['recovery']} epoch of recovery), {record['fine_tune']} epochs of tuning, {whole} for the "
            f"whole network in {' and '.join(record['bits'])} (0: calibrated alone); batch {recipe['batch']}, distil "
            f"{recipe['distil']}, {recipe['precision']}, seed {recipe['seed']} (`python benchmarks/attention.py`). "
            "Size: share of the bytes of the whole network in the "
            "same bits. Drop: points below the float network. Published: W8A8, best test accuracy, recovery steered by "
            f"test data; its drops are from its own {DENSE}; in W4A8 it has {W4A8}. "
            "Settled: masked, which is what was cut, to the digit; recovered: repaired without labels.",
            markdown(HEAD, rows(record)),
            "![Accuracy against bytes, with the Pareto front over bits and pruning](attention-table.png)",
        ]
    parts.append(setting(("torch",), records.values(), "threads as said"))
    return "\n\n".join(parts)


def rows(record: Record) -> list[list[str]]:
    levels = record["levels"]
    whole, found = levels["full"], []
    for name, level in reversed(levels.items()):
        if abs(level["top1"] - record["loaded"][name]) > 1e-9:
            raise ValueError(
                f"{name} had {level['top1']} when it was made, and {record['loaded'][name]} out of the file"
            )
        bits = name.rpartition("-")[2] if "-" in name else ""
        size = level["bytes"] / levels[f"full-{bits}" if bits else "full"]["bytes"]
        near = min(PUBLISHED, key=lambda share: abs(share - size))
        published = PUBLISHED[near] if bits == "W8A8" else None
        steps = record["steps"].get(name.removesuffix(f"-{record['bits'][0]}"), {})
        found.append([
            name, f"{size:.2f}", f"{level['bytes'] / 1000:.0f}", f"{level['params']:,}", f"{level['macs']:,}",
            f"{level['top1']:.2f}", f"{whole['top1'] - level['top1']:.2f}",
            "" if published is None else f"{published:.2f}", "" if published is None else f"{DENSE - published:.2f}",
            *(f"{steps[key]:.2f}" if key in steps else "" for key in ("settled", "recovered")),
        ])  # fmt: skip
    return found


def picture(records: Mapping[str, Record], path: Path) -> None:
    """Write accuracy against bytes of all levels, with the front over bits and pruning."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for record in records.values():
        points = {name: (level["bytes"] / 1000, level["top1"]) for name, level in record["levels"].items()}
        kinds = {name: name.rpartition("-")[2] if "-" in name else "float" for name in points}
        for kind in dict.fromkeys(kinds.values()):
            own = sorted(points[name] for name in points if kinds[name] == kind)
            axes.plot(*zip(*own, strict=True), "o-", label=kind)
        axes.plot(*zip(*front(list(points.values())), strict=True), "k:", drawstyle="steps-post", label="Pareto front")
    axes.set(xscale="log", xlabel="kB in the file", ylabel="top-1, %", title="ResNet-32, CIFAR-10: bits and pruning")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
