"""The table of `gates.py`."""

from collections.abc import Mapping

from isolated import Record
from records import markdown, setting

STEPS = ("soft", "hard", "cut", "recovered", "tuned")
HEAD = (
    "network", "data", "dense is", "way", " seed", " MACs", " params", " dense", *(f" {step}" for step in STEPS),
    " images for gates", " for tuning", " seconds",
)  # fmt: skip
TRAINING = 50_000  # images, where a record doesn't say


def table(records: Mapping[str, Record]) -> str:
    """Return a page: what was reached, and what it needs to be judged."""
    how = next(iter(records.values()))["recipe"]
    return "\n\n".join(
        [
            "# Channel gates beside magnitude and Taylor at equal cost",
            "Top-1 on all test images, in percent, of the last epoch. soft: gates as they were learned; hard: open or "
            "closed; cut: without the closed ones; recovered: repaired without labels; tuned: trained with the dense "
            f"network as the teacher (learning rate {how['learning_rate']:g}, distil {how['distil']}, "
            f"{how['precision']}). Images count once an epoch; magnitude and Taylor are tuned on as many as gates were "
            "learned and tuned on (`python benchmarks/gates.py`).",
            markdown(HEAD, map(row, records.values())),
            setting(("torch",), records.values()),
        ]
    )


def row(record: Record) -> list[str]:
    is_gated = "costs" in record
    tops = [f"{record['top1'][step]:.2f}" if step in record["top1"] else "" for step in STEPS]
    shares = [f"{record[name]:.1%}" for name in ("macs", "params")]
    named = [record["network"], record["data"], record.get("begin", "checkpoint"), record["way"], str(record["seed"])]
    learned = f"{record['gate_epochs'] * record['images']:,}" if is_gated else ""
    tuned = f"{record['recipe']['epochs'] * record.get('training', TRAINING):,}"
    return [*named, *shares, f"{record['dense']:.2f}", *tops, learned, tuned, f"{record['seconds']:,}"]
