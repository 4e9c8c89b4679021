"""What it costs to load one level out of an elastic file, next to safetensors on a plain file of the same tensors.

ResNet-50 with random weights (102 MB), three levels: macs=25%, macs=50% and the whole. Two costs are compared.

MB needed. Both readers map their file, so no counter of system calls sees what they read, and the page cache also
holds what the kernel read ahead (8 MB at a time on some disks). So it is tried out: every byte that the level should
not need is overwritten with 0xFF in a copy of the file, the level is loaded from the copy and must come out the same.
What was left is what the level needs: headers, its tensors, its axes. Of the plain file all bytes are needed.

Seconds, with a warm cache. Mapped tensors cost nothing until they are used, so the time until a reader returns says
little: the time that counts ends when every byte has been copied into tensors that a model already holds, which is
what `load_state_dict` does. The runs of both readers alternate. Conversion to torch tensors is included.

    python benchmarks/load_level.py [--runs 15] [--json]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file

import elastic
from elastic.metadata import read_level, verify_level, write_plain
from elastic.tensors import restored

State = dict[str, torch.Tensor]
LEVELS = (0, 2)


def main() -> None:
    options = argparse.ArgumentParser(description="Load one level; next to safetensors on a plain file.")
    options.add_argument("--runs", type=int, default=15)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        rows = [measure(Path(folder), level, chosen.runs) for level in make_files(Path(folder))]
    if chosen.json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows)


def make_files(folder: Path) -> tuple[int, ...]:
    """Write the elastic file, and a plain one for each level that is measured."""
    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None).eval()
    example = torch.zeros(1, 3, 224, 224)
    plan = elastic.trace(model, example)
    scores = elastic.score(model, plan, "magnitude")
    levels = elastic.allocate(plan, scores, target=["macs=25%", "macs=50%"])
    elastic.save(folder / "elastic.safetensors", model, plan, levels, scores=scores)
    for level in LEVELS:
        write_plain(folder / f"plain{level}.safetensors", read_level(folder / "elastic.safetensors", level))
    return LEVELS


READERS: dict[str, Callable[[Path], State]] = {
    "level0": lambda path: {name: restored(tensor) for name, tensor in read_level(path, 0).items()},
    "level2": lambda path: {name: restored(tensor) for name, tensor in read_level(path, 2).items()},
    "plain": lambda path: load_file(path),
}


def measure(folder: Path, level: int, runs: int) -> dict[str, float]:
    ours, plain = folder / "elastic.safetensors", folder / f"plain{level}.safetensors"
    sides = {f"level{level}": ours, "plain": plain}
    one, other = (READERS[kind](path) for kind, path in sides.items())
    if one.keys() != other.keys() or not all(torch.equal(one[name], other[name]) for name in one):
        raise SystemExit("the two files differ")
    del one, other
    row: dict[str, float] = {"level": level, "elastic_file_bytes": ours.stat().st_size}
    row |= {"bytes_ours": bytes_needed(ours, level), "bytes_plain": plain.stat().st_size}
    held = {name: torch.zeros_like(tensor) for name, tensor in load_file(plain).items()}
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in sides}
    for run in range(runs + 2):  # the first two warm the cache
        for kind, path in sorted(sides.items(), reverse=bool(run % 2)):
            times[kind].append(seconds(READERS[kind], path, held))
    for kind, found in times.items():
        side = "plain" if kind == "plain" else "ours"
        for number, what in enumerate(("returned", "used")):
            counted = [each[number] for each in found[2:]]
            row[f"{what}_{side}"] = statistics.median(counted)
            row[f"{what}_{side}_spread"] = max(counted) - min(counted)
    return row


def seconds(reader: Callable[[Path], State], path: Path, held: State) -> tuple[float, float]:
    """Return the time until the reader returns, and until every byte is in the tensors that a model holds."""
    begun = time.perf_counter()
    state = reader(path)
    returned = time.perf_counter()
    for name, tensor in state.items():
        held[name].copy_(tensor)
    return returned - begun, time.perf_counter() - begun


def bytes_needed(path: Path, level: int) -> int:
    """Return how many bytes a level is read from; a copy with all others overwritten must give the same level."""
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    needed = start
    for key, entry in json.loads(data[8:start]).items():
        if key == "__metadata__":
            continue
        first, last = (start + offset for offset in entry["data_offsets"])
        if (
            not key.startswith("~")
            or key.startswith("~axis/")
            or key[1:].partition("/")[0] in map(str, range(level + 1))
        ):
            needed += last - first
        else:
            data[first:last] = b"\xff" * (last - first)
    copy = path.with_suffix(".overwritten")
    copy.write_bytes(data)
    verify_level(copy, level)
    copy.unlink()
    return needed


def show(rows: list[dict[str, float]]) -> None:
    print(f"elastic file {rows[0]['elastic_file_bytes'] / 1e6:.1f} MB; medians (max - min), warm cache, one thread")
    print(f"{'level':>5} {'':14} {'elastic':>18} {'safetensors, plain':>20} {'ratio':>7}")
    for row in rows:
        ours, plain = row["bytes_ours"] / 1e6, row["bytes_plain"] / 1e6
        print(f"{row['level']:5.0f} {'MB needed':14} {ours:18.2f} {plain:20.2f} {ours / plain:7.3f}")
        for what in ("used", "returned"):
            ours, plain = (row[f"{what}_{side}"] * 1e3 for side in ("ours", "plain"))
            spread, of_plain = (row[f"{what}_{side}_spread"] * 1e3 for side in ("ours", "plain"))
            print(
                f"{row['level']:5.0f} {'ms until ' + what:14} {ours:9.1f} ({spread:5.1f})"
                f" {plain:12.1f} ({of_plain:5.1f}) {ours / plain:7.2f}"
            )


if __name__ == "__main__":
    main()
