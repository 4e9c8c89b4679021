"""The table of `tuned.py`."""

from collections.abc import Mapping

from isolated import Record
from records import markdown, setting

HEAD = ("network", "way", " learning rate", " seed", " right after the cut", " start", " tuned", " seconds")


def table(records: Mapping[str, Record]) -> str:
    """Return a page: what was reached, and what it needs to be judged."""
    rows = [row(record) for record in records.values()]
    recipe = next(iter(records.values()))["recipe"]
    how = f"{recipe['epochs']} epochs, batch {recipe['batch']}, distil {recipe['distil']}, {recipe['precision']}"
    return "\n\n".join(
        [
            "# ResNet-56 at 2.1 times fewer MACs, tuned",
            "Top-1 on the 10,000 test images of CIFAR-10, in percent, of the last epoch; the dense network has 93.39. "
            f"Both sides: {how}, the dense network as the teacher (`python benchmarks/tuned.py`).",
            markdown(HEAD, rows),
            setting(("torch", "torch-pruning"), records.values()),
        ]
    )


def row(record: Record) -> list[str]:
    recipe = record["recipe"]
    cut = f"{record['cut']:.2f}" if "cut" in record else ""
    numbers = [f"{recipe['learning_rate']:g}", str(recipe["seed"]), cut]
    return [
        record["side"],
        record["way"],
        *numbers,
        f"{record['before']:.2f}",
        f"{record['after']:.2f}",
        str(record["seconds"]),
    ]
