"""Networks between two levels of a file, of which none was trained: repaired, and with norms estimated anew.

    ELASTIC_DATA=DIR python benchmarks/widths.py build/nested/start-0.safetensors [build/nested/grow-0.safetensors]

The files are those that `nested.py` makes of ResNet-20; accuracies are on the 10,000 test images of CIFAR-10, the
repair looks at 512 training images without labels. Prints a table as Markdown.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from nested import CASE
from one_shot_networks import opened
from records import markdown, provenance, setting

from elastic.metadata import read_header
from elastic.widths import load_width

IMAGES = 512


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Networks between two levels of a file.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--targets", nargs="*", default=["macs=40%", "macs=60%"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    subject = opened(CASE)
    data = [images for images, _ in subject.batches(IMAGES, CASE.batch, asked.seed)]
    rows = []
    for path in asked.files:
        row = [f"{path.stem} ({read_header(path).contract})"]
        for target in asked.targets:
            for recover in (False, True):
                network = load_width(path, target, data=data, recover=recover)
                row.append(f"{subject.accuracy(network)['test']:.2f}")
        rows.append(row)
    head = [f" {target} {way}" for target in asked.targets for way in ("norms alone", "repaired")]
    print(markdown(["file", *head], rows))
    print(f"\n{setting(('torch',), [provenance()])}")


if __name__ == "__main__":
    main()
