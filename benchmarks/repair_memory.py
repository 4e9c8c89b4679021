"""What a repair needs of memory: ResNet-50 at 224 pixels, more images than fit into what it is given.

    ELASTIC_DATA=DIR python benchmarks/repair_memory.py [--images 96] [--limits 1 2 4] [--threads 2] [--table FILE]

Random weights, half of the MACs cut, images of the ImageNet sample. For each limit a process of its own: the most that
was resident while the network was repaired, less what was resident before (both networks, images and torch itself), and
how many parts the images were taken in.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import torch
import torchvision
from records import markdown
from torch import Tensor, nn

import elastic
from elastic.data import Preprocessing, images_loader, load
from elastic.recovery import reestimate_norms, repair

GIB = 1 << 30
NAME = "torchvision/resnet50"
HEAD = (" limit, GiB", " images", " parts", " resident at most, GiB", " s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the memory that a repair of ResNet-50 takes.")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--limits", type=float, nargs="+", default=[1, 2, 4], help="GiB, one after the other")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", type=Path, help="write the table into this file too")
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)  # given to the process that measures
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured(asked.one, asked.images, asked.threads)))
        return
    rows = []
    for limit in asked.limits:
        again = [sys.executable, __file__, "--images", str(asked.images), "--threads", str(asked.threads)]
        done = subprocess.run([*again, "--one", str(limit)], check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    setting = (
        f"{NAME}, random weights, 224 pixels, macs=50%, {asked.threads} threads of {os.cpu_count()} cores; Python "
        f"{platform.python_version()}, torch {version('torch')}; {time.strftime('%F')}."
    )
    lines = [setting, "", markdown(HEAD, [[str(cell) for cell in row] for row in rows])]
    print("\n".join(lines))
    if asked.table:
        asked.table.write_text("\n".join(lines) + "\n")


def measured(limit: float, count: int, threads: int) -> list[object]:
    """Return a row of the table."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    whole = torchvision.models.resnet50().eval()
    images = opened(count)
    settle_norms(whole, images)
    pruned = elastic.prune(whole, images[:1], target="macs=50%")
    cut = pruned.level(0)
    resident = psutil.Process().memory_info().rss
    start = time.perf_counter()
    done = repair(cut, whole, pruned.plan, pruned.levels, images, memory=int(limit * GIB))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
    return [limit, done.images, done.parts, f"{peak / GIB:.2f}", f"{seconds:.0f}"]


def opened(count: int) -> Tensor:
    """Return images to repair on."""
    folder = Path(os.environ["ELASTIC_DATA"]) / "imagenet-sample"
    data = load(f"imagefolder:{folder}", train=False, preprocessing=Preprocessing.default(NAME))
    return torch.cat([batch for batch, _ in images_loader(data, 32, limit=count, seed=0)])


def settle_norms(model: nn.Module, images: Tensor) -> None:
    """Give norms the statistics of images, so that random weights make something of them."""
    reestimate_norms(model, images[:32].split(8))


if __name__ == "__main__":
    main()
