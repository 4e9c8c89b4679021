"""Memory that a plan predicts for networks, whole and cut to `memory=60%`, beside what torch takes for them.

    python benchmarks/memory.py && python benchmarks/memory.py --table docs/memory-table.md

torchvision's networks, random weights (seed 0), eval mode, batch 1, 224 px, eager torch in float32. They are cut by
magnitude, in the order of scores and by what units save of memory. What a run holds is counted twice: the storages of
tensors that are alive after each operation, and what torch's allocator has given out at its peak, in which workspaces
of kernels are. A run that was stopped goes on where it was.
"""

import argparse
import gc
from pathlib import Path
from typing import Any

import torch
from isolated import Record
from records import add_record, markdown, read_records, setting
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import elastic
from elastic import models

NETWORKS = ("resnet50", "mobilenet_v2", "vgg16_bn")
TARGET = "memory=60%"
CUTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "by score": {"per": "unit"},
    "by score / memory saved": {"per": "memory"},
}
MB = 1e6


class Alive(TorchDispatchMode):
    """The most bytes of storages that were made since and are alive at once."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.alive: dict[int, tuple[Any, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.alive = {key: one for key, one in self.alive.items() if not one[0].expired()}
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage())._cdata not in self.known:
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.most = max(self.most, sum(size for _, size in self.alive.values()))
        return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory, predicted and measured.")
    parser.add_argument("--out", type=Path, default=Path("build/memory.jsonl"), help="one JSON object a line")
    parser.add_argument("--table", type=Path, help="write the records as Markdown, and run nothing")
    asked = parser.parse_args()
    if asked.table:
        asked.table.write_text(page(read_records(asked.out)))
        return
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for network in NETWORKS:
        for cut in CUTS:
            add_record(asked.out, f"{network}, {cut}", lambda network=network, cut=cut: measured(network, cut))


def measured(network: str, cut: str) -> Record:
    torch.manual_seed(0)
    model, example = models.build(f"torchvision/{network}").eval(), torch.zeros(1, 3, 224, 224)
    pruned = elastic.prune(model, example, target=TARGET, **CUTS[cut])
    level = 1 if cut == "whole" else 0
    smaller, cost, dense = pruned.level(level), pruned.cost(level), pruned.cost(1)
    state = list(smaller.state_dict().values())
    return {
        "network": network, "cut": cut, "state": sum(tensor.nbytes for tensor in state), "predicted": cost["memory"],
        "share": cost["memory"] / dense["memory"], "macs": cost.macs / dense.macs,
        "units": float((pruned.levels <= level).mean()), "alive": alive(smaller, example, state),
        "allocated": allocated(smaller, example),
    }  # fmt: skip


def alive(model: nn.Module, example: Tensor, state: list[Tensor]) -> int:
    with torch.no_grad(), Alive([example, *state]) as seen:
        model(example)
    return seen.most


def allocated(model: nn.Module, example: Tensor) -> int:
    with torch.no_grad():
        model(example)  # what is allocated once and kept
        gc.collect()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            model(example)
    most = now = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def page(records: dict[str, Record]) -> str:
    head = [
        "network",
        "",
        " units",
        " MACs",
        " state",
        " outputs, predicted",
        " alive",
        " allocated",
        " memory",
    ]
    rows = [
        [
            one["network"], one["cut"], f"{one['units']:.1%}", f"{one['macs']:.1%}", f"{one['state'] / MB:.2f}",
            f"{(one['predicted'] - one['state']) / MB:.3f}", f"{one['alive'] / MB:.3f}",
            f"{one['allocated'] / MB:.3f}", f"{one['predicted'] / MB:.2f} ({one['share']:.2%})",
        ]
        for one in records.values()
    ]  # fmt: skip
    return "\n".join([
        "# Memory, predicted and measured", "", TEXT, "", setting(("torch", "torchvision"), records.values()), "",
        markdown(head, rows), "",
    ])  # fmt: skip


TEXT = """What eager torch takes in float32, batch 1, 224 px, in MB (10^6 bytes), whole and cut to `memory=60%` by
magnitude (`python benchmarks/memory.py`). The state is all of the state dict. Outputs are what a run holds beside it at
its peak: as the plan predicts it; as the storages that are alive at once; and as torch's allocator has given out at
once, in which workspaces of kernels are (a convolution keeps its weights and its input in another layout while it
runs). Memory is the state and the predicted outputs, and their share of the whole network's.
[How it is counted](allocation.md#targets-of-memory)."""


if __name__ == "__main__":
    main()
