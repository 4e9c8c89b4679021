"""Attention-based channel pruning in few bits: accuracy at several sizes, beside what was published.

    ELASTIC_DATA=DIR python benchmarks/attention.py [--bits W8A8 W4A8] [--targets params=80% params=56%]
    python benchmarks/attention.py --table docs/attention-table.md   (and docs/attention-table.png)

ResNet-32 of CIFAR-10, from its checkpoint. Attention and weights are learned by turns with rounding in every step, in
the first bits, down to each target; what is cut is tuned, in each of the bits, with the float network as its teacher.
The whole network is put into each bits too. 2,500 of the training images are held out, and say when accuracy is back;
test images decide nothing, and no epoch is chosen by them: accuracies are those of the last. All networks are in one
elastic file, and bytes are those that its header tells. A run that was stopped goes on where it was.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from attention_table import picture, table
from isolated import Record
from one_shot_networks import Subject, case_of, opened
from records import add_record, read_records
from short_training import add_options, recipe_of

import elastic
from elastic.alternating import alternation_of
from elastic.checkpoint import load
from elastic.data import divided
from elastic.metadata import read_header

CASE = case_of("resnet32_cifar10")
HELD_OUT = 0.05


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Attention-based channel pruning in few bits, on ResNet-32.")
    parser.add_argument("--bits", nargs="*", default=["W8A8", "W4A8"], help="the first are those of the rounds")
    parser.add_argument("--targets", nargs="*", default=["params=80%", "params=56%"])
    parser.add_argument("--whole", type=int, nargs="*", default=[0, 1], help="epochs of the whole network, by bits")
    parser.add_argument("--rounds", type=int, default=1, help="for each target")
    parser.add_argument("--recovery", type=int, default=1, help="epochs at most, in each round")
    parser.add_argument("--images", type=float, default=0.25, help="share of the images that attention is learned on")
    parser.add_argument("--fine-tune", type=int, default=2, help="epochs of each network that was cut")
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--start", default="energy", help="criterion by which attention begins")
    parser.add_argument("--seed", type=int, default=0)
    add_options(parser, "build/attention")
    asked = parser.parse_args(arguments)
    out = asked.folder / "records.jsonl"
    if asked.table:
        asked.table.write_text(table(read_records(out)) + "\n")
        picture(read_records(out), asked.table.with_suffix(".png"))
        return
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    name = f"{' '.join(asked.bits)}, {' '.join(asked.targets)}, {asked.start}, seed {asked.seed}"
    add_record(out, name, partial(run, opened(CASE), asked))


def run(subject: Subject, asked: argparse.Namespace) -> Record:
    """Return what each level of the file has: accuracy, bytes, parameters, MACs."""
    trained: list[Any] = []  # epochs
    learned, held_out = divided(subject.training, HELD_OUT, asked.seed)
    recipe = recipe_of(asked, 1, asked.seed)
    alternation = alternation_of(
        rounds=asked.rounds, recovery=asked.recovery, images=asked.images, start=asked.start
    )  # fmt: skip

    def top1(network: Any) -> float:
        return subject.accuracy(network)["test"]

    pruned, stages = elastic.prune_by_attention(
        subject.model, subject.example, learned, recipe, target=asked.targets, bits=asked.bits, validation=held_out,
        alternation=alternation, fine_tune=recipe.model_copy(update={"epochs": asked.fine_tune}), measure=top1,
        keep=asked.folder / "attention.training", report=tell,
    )  # fmt: skip
    for stage in stages:
        trained += [epoch for each in stage.rounds for epoch in (*each.attention, *each.recovery)]
        trained += [epoch for each in stage.in_all_bits for epoch in each.tuning]
    last = [each.top1["tuned"] for stage in stages for each in stage.in_all_bits][::-1]
    file = asked.folder / "pruned.safetensors"
    metrics = {name: {"top1": found} for name, found in zip(pruned.names, [*last, top1(subject.model)], strict=True)}
    pruned.save(
        file, model_name=CASE.network, arguments={"num_classes": CASE.classes}, metrics=metrics, overwrite=True
    )  # fmt: skip
    for bits, epochs in zip(asked.bits, asked.whole, strict=True):
        whole = recipe.model_copy(update={"epochs": epochs, "learning_rate": asked.learning_rate / 2})
        made = asked.folder / f"whole-{bits}.safetensors"
        of_levels = elastic.quantise_levels(
            file, made, learned, whole if epochs else None, bits=bits, measure=top1, report=tell, overwrite=True,
            keep=asked.folder / f"whole-{bits}.training",
        )  # fmt: skip
        file, trained = made, trained + [epoch for each in of_levels for epoch in each.epochs]
    levels = {level.name: level for level in read_header(file).levels}
    return {
        "levels": {
            name: {"top1": level.metrics["top1"], "bytes": level.bytes, "params": level.params, "macs": level.macs}
            for name, level in levels.items()
        },
        "loaded": {name: top1(load(file, name)) for name in levels},
        "steps": {stage.aim.name: dict(stage.top1) for stage in stages}
        | {f"{stage.aim.name}-{other.bits}": dict(other.top1) for stage in stages for other in stage.others},
        "rounds": {
            stage.aim.name: [[each.top1_attended, each.top1, each.cost] for each in stage.rounds] for stage in stages
        },
        "bits": asked.bits,
        "settings": alternation.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
        "fine_tune": asked.fine_tune,
        "whole": asked.whole,
        "threads": asked.threads,
        "epochs": len(trained),
        "training_seconds": round(sum(epoch.seconds for epoch in trained)),
    }


def tell(name: str, epoch: Any) -> None:
    print(f"{name} {epoch.model_dump_json()}", flush=True)


if __name__ == "__main__":
    main()
