"""Few bits: accuracy after calibration and after training with rounding, the file's bytes, and ONNX of integers.

    ELASTIC_DATA=DIR python benchmarks/quantise.py [--only '*W4A8*'] [--epochs 3] [--seeds 0]
    python benchmarks/quantise.py --table docs/quantise-table.md

ResNet-20 of CIFAR-10, all layers, the first and the last too. A file of the network gets a level of few bits,
calibrated on 512 images, then trained through the one loop with the float network as its teacher; no epoch is chosen:
accuracies are those of the last. That level is exported to ONNX, and onnxruntime is asked for all test images: how many
classes are those that torch gives. Latency is of onnxruntime, float and integers in turn. A run that was stopped goes
on where it was.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from isolated import Record, seconds_of
from one_shot_networks import TEST_BATCH, Subject, case_of, opened
from quantise_table import table
from records import add_record, is_asked, read_records
from short_training import add_options, recipe_of
from torch import Tensor, nn

import elastic
from elastic import checkpoint
from elastic.data import images_loader
from elastic.metadata import read_header

CASE = case_of("resnet20_cifar10")
NETWORK = CASE.network
BATCHES, RUNS = (1, 128), 40  # images at a time; runs of each, in turn


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Accuracy, bytes, agreement and latency in few bits.")
    parser.add_argument("--only", nargs="*", default=["*"], help="patterns of names, as 'W4A8, learned, seed 0'")
    parser.add_argument("--bits", nargs="*", default=["W8A8", "W4A8", "W4A4"])
    parser.add_argument("--steps", nargs="*", default=["max"], help="steps of weights: max, learned")
    parser.add_argument("--ranges", nargs="*", default=["learned"], help="ranges of inputs: learned, pact, average")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--again", action="store_true", help="export and time those anew that are trained already")
    add_options(parser, "build/quantise")
    asked = parser.parse_args(arguments)
    out = asked.folder / "records.jsonl"
    if asked.table:
        asked.table.write_text(table(read_records(out)) + "\n")
        return
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    subject, whole = opened(CASE), asked.folder / "float.safetensors"
    pruned = elastic.prune(
        subject.model, subject.example, target="macs=50%", recover=False, data=subject.batches(512, 128)
    )
    pruned.save(whole, model_name=NETWORK, arguments={"num_classes": CASE.classes}, overwrite=True)
    for seed in asked.seeds:
        for bits in asked.bits:
            for steps in asked.steps:
                for ranges in asked.ranges:
                    name = f"{bits}, {steps}, {ranges}, seed {seed}"
                    if is_asked(name, asked.only):
                        add_record(out, name, partial(run, subject, whole, asked, name, bits, steps, ranges, seed))
                        deployed = partial(in_onnx, subject, asked.folder / f"{name}.safetensors", bits)
                        add_record(out, f"{name}, ONNX", deployed, again=asked.again)


def run(
    subject: Subject, whole: Path, asked: argparse.Namespace, name: str, bits: str, steps: str, ranges: str, seed: int
) -> Record:
    """Return what a level of these bits has before and after its training, and what it takes."""
    recipe = recipe_of(asked, asked.epochs, seed)
    few = asked.folder / f"{name}.safetensors"
    options: dict[str, Any] = {"bits": bits, "weights": steps, "ranges": ranges, "overwrite": True}

    def tell(_: str, epoch: Any) -> None:
        print(f"{name} {epoch.model_dump_json()}", flush=True)

    found: Record = {"bits": bits, "steps": steps, "ranges": ranges, "threads": asked.threads}
    (outcome,) = elastic.quantise_levels(
        whole, few, subject.training, recipe, keep=few.with_suffix(".training"), report=tell,
        measure=lambda network: subject.accuracy(network)["test"], **options,
    )  # fmt: skip
    found["calibrated"] = outcome.top1["calibrated"]
    network = of_few_bits(few, bits)
    found |= {"float": subject.accuracy(subject.model)["test"], "trained": subject.accuracy(network)["test"]}
    found["seconds"] = round(sum(epoch.seconds for epoch in outcome.epochs))
    found["recipe"] = recipe.model_dump(mode="json")
    few.with_suffix(".0.training").unlink()  # the first training's, of one
    return found | sizes(few, bits, network, subject)


def of_few_bits(few: Path, bits: str) -> nn.Module:
    return checkpoint.load(few, f"full-{bits}").eval()


def sizes(few: Path, bits: str, network: nn.Module, subject: Subject) -> Record:
    """Return the bytes that the file's header tells, and those of the file that this level alone makes."""
    levels = {level.name: level for level in read_header(few).levels}
    alone = elastic.export(
        network, subject.example, few.with_suffix(".state.safetensors"), "state-dict", overwrite=True
    )
    told = {"told": levels[f"full-{bits}"].bytes, "told float": levels["full"].bytes}
    return {"bytes": told | {"file": alone.bytes}}


def in_onnx(subject: Subject, file: Path, bits: str) -> Record:
    """Return how onnxruntime agrees with torch on all test images, its accuracy, and latencies beside float."""
    network, path = of_few_bits(file, bits), file.with_suffix(".onnx")
    few = elastic.export(network, subject.example, path, "onnx", overwrite=True)
    whole = elastic.export(subject.model, subject.example, path.with_suffix(".float.onnx"), "onnx", overwrite=True)
    ours, theirs, labels = [], [], []
    integers, floats = session(few.path), session(whole.path)
    with torch.no_grad():
        for images, right in images_loader(subject.tests["test"], TEST_BATCH):
            ours.append(network(images).argmax(1))
            theirs.append(torch.from_numpy(integers(images)).argmax(1))
            labels.append(right)
    torchs, onnxs, right = torch.cat(ours), torch.cat(theirs), torch.cat(labels)
    found: Record = {
        "images": len(right),
        "agreed": int((torchs == onnxs).sum()),
        "onnx": 100 * float((onnxs == right).float().mean()),
        "onnx_bytes": {"few": few.bytes, "float": whole.bytes},
    }
    images = torch.cat([x for x, _ in subject.batches(max(BATCHES), max(BATCHES))])
    found["milliseconds"] = {str(n): in_turn({"few": integers, "float": floats}, images[:n]) for n in BATCHES}
    return found


def session(path: Path) -> Callable[[Tensor], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    runtime = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = runtime.get_inputs()[0].name
    return lambda images: runtime.run(None, {name: images.numpy()})[0]  # type: ignore[no-any-return]


def in_turn(ways: dict[str, Callable[[Tensor], np.ndarray]], images: Tensor) -> dict[str, float]:
    """Return the median milliseconds of each way, run in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(RUNS + 3):
        for name, way in ways.items():
            seconds = seconds_of(partial(way, images))
            if number >= 3:  # the first warm up
                taken[name].append(seconds)
    return {name: round(1000 * statistics.median(each), 3) for name, each in taken.items()}


if __name__ == "__main__":
    main()
