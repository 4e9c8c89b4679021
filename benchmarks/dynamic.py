"""Compute that each input decides: accuracy against what is computed, beside static twins and published figures.

    ELASTIC_DATA=DIR python benchmarks/dynamic.py [--only '*, channel, *'] [--epochs 4] [--seeds 0]
    python benchmarks/dynamic.py --table docs/dynamic-table.md

ResNet-20 of CIFAR-10, from its checkpoint; both convolutions of each block have gates, though the second ones lead to
no activation; in `--network vgg6_bn_cifar10` all convolutions that have gates lead to one. Channel gates come to a
budget of MACs, in shares of the whole network's; with `--levels macs=75%` they are put into the network as it is cut to
so many MACs first (ranked by energy and repaired on 2,048 images, not trained). Their static twin is the network
itself. Precision gates have 3 bits of which 2 predict; their static twin always uses all 3, and is trained alike. All
have the float network as their teacher, or channel gates the one of `--teacher`; accuracies are those of the last epoch
on all test images, on which the counters count. A run that was stopped goes on where it was; what was trained is left
beside the records.
"""

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from dynamic_table import table
from isolated import Record
from one_shot_networks import Subject, case_of, macs_of, opened
from records import add_record, is_asked, read_records
from safetensors.torch import save_file
from short_training import add_options, recipe_of
from torch import nn

import elastic
from elastic.dynamic import in_all, reset, spent
from elastic.dynamic.channel import gate_channels_dynamically
from elastic.dynamic.precision import average_bits, gate_precision, precision_gated, precision_gates
from elastic.dynamic_gating import PrecisionGating, channel_gating_of, precision_gating_of
from elastic.quantise import quantise
from elastic.recipes import Recipe

LAYERS: dict[str, tuple[str, ...]] = {"resnet20_cifar10": ("layer*.conv?",), "vgg6_bn_cifar10": ()}
PARTS = channel_gating_of("paper").parts
IMAGES = 2048  # that rank and repair what is cut first, without labels


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Accuracy against what is computed, by gates that inputs decide.")
    parser.add_argument("--network", choices=list(LAYERS), default="resnet20_cifar10", help="a checkpoint")
    parser.add_argument("--only", nargs="*", default=["*"], help="patterns of names, as 'resnet20, channel, *'")
    parser.add_argument("--budgets", type=float, nargs="*", default=[0.45], help="shares of the MACs, channel gates")
    parser.add_argument("--bit-budgets", type=float, nargs="*", default=[0.75], help="shares of operations of bits")
    parser.add_argument("--bases", nargs="*", default=["first", "strongest"], help="what the base path reads")
    parser.add_argument("--parts", type=int, default=PARTS, help="the base path of channel gates reads one of so many")
    parser.add_argument("--levels", nargs="*", default=["full"], help="what channel gates are put into, as macs=75%%")
    parser.add_argument(
        "--teacher", help="a checkpoint that teaches channel gates, as resnet56_cifar10; their own if none"
    )
    parser.add_argument("--begin", type=float, default=-1.0, help="thresholds of channel gates at first")
    parser.add_argument("--ramp", type=float, default=0.6, help="share of the steps in which their budget is reached")
    parser.add_argument("--granularities", nargs="*", default=["pixel-channel", "pixel"])
    parser.add_argument("--weight-bits", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.02)
    add_options(parser, "build/dynamic")
    asked = parser.parse_args(arguments)
    out = asked.folder / "records.jsonl"
    if asked.table:
        asked.table.write_text(table(read_records(out)) + "\n")
        return
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    subject = opened(case_of(asked.network))
    for seed in asked.seeds:
        for name, one in runs(subject, asked).items():
            full = f"{asked.network.partition('_')[0]}, {name}, seed {seed}"
            if is_asked(full, asked.only):
                add_record(out, full, partial(run, subject, asked, full, one, seed))


def runs(subject: Subject, asked: argparse.Namespace) -> dict[str, Callable[..., tuple[nn.Module, Record]]]:
    """Return what there is to run, by name."""
    found: dict[str, Callable[..., tuple[nn.Module, Record]]] = {}
    choices = itertools.product(asked.levels, asked.bases, asked.granularities, asked.budgets)
    for level, base, granularity, budget in choices:
        options: dict[str, Any] = {"base": base, "granularity": granularity, "strength": 0.0, "parts": asked.parts}
        options |= {"begin": asked.begin, "ramp": asked.ramp, "layers": LAYERS[asked.network]}
        name = f"channel, {base}, {granularity}, {budget:g}" + ("" if level == "full" else f" from {level}")
        name += f" taught by {asked.teacher}" if asked.teacher else ""
        name += "" if asked.parts == PARTS else f", base of one in {asked.parts}"
        found[name] = partial(channels, subject, asked.teacher, level, budget, options)
    for granularity in asked.granularities:
        for budget in asked.bit_budgets:
            gating = precision_gating_of(
                "calibrated",
                layers=LAYERS[asked.network],
                granularity=granularity,
                budget=budget,
                weight_bits=asked.weight_bits,
            )
            found.setdefault("precision, static twin", partial(twin, subject, gating))
            found[f"precision, {granularity}, {budget:g}"] = partial(bits, subject, gating)
    return found


def run(subject: Subject, asked: argparse.Namespace, name: str, one: Any, seed: int) -> Record:
    """Return what a network computes of all test images, and its accuracy."""
    recipe = recipe_of(asked, asked.epochs, seed)
    keep, seconds = asked.folder / f"{name}.training", 0.0

    def tell(epoch: Any) -> None:
        nonlocal seconds
        seconds += epoch.seconds
        print(f"{name} {epoch.model_dump_json()}", flush=True)

    network, found = one(recipe, {"keep": keep, "report": tell})
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}  # counting left channels last
    save_file(state, asked.folder / f"{name}.safetensors")
    keep.unlink()
    return {
        **found,
        "network": asked.network,
        "kind": name.split(", ")[1],
        "float": subject.accuracy(subject.model)["test"],
        "threads": asked.threads,
        "recipe": recipe.model_dump(mode="json"),
        "seconds": round(seconds),
    }


def channels(
    subject: Subject,
    taught_by: str | None,
    level: str,
    budget: float,
    options: Mapping[str, Any],
    recipe: Recipe,
    training: Any,
) -> tuple[nn.Module, Record]:
    """Return a level with gates, and what they come to; what is computed is told in shares of the whole network."""
    teacher = subject.model if taught_by is None else opened(case_of(taught_by)).model
    model, told = subject.model, {}
    if level != "full":
        inputs = [images for images, _ in subject.batches(IMAGES, 128, recipe.seed)]
        pruned = elastic.prune(subject.model, subject.example, target=level, data=inputs, seed=recipe.seed)
        model = pruned.level(0)
        told = {"before": subject.accuracy(pruned.level(0))["test"]}  # in another order in memory
    of_whole = macs_of(model, subject.example) / macs_of(subject.model, subject.example)
    gating = channel_gating_of("paper", budget=budget / of_whole, **options)
    network, price, _ = gate_channels_dynamically(
        model, subject.example, subject.training, recipe, gating=gating, teacher=teacher, training=training
    )
    found = counted(subject, network, price.elsewhere)
    share = found["share"] * of_whole
    if taught_by is not None:
        told |= {"teacher": taught_by, "teacher_top1": subject.accuracy(teacher)["test"]}
    return network, {"gating": gating.model_dump(mode="json"), **found, **told, "share": share, "fewer": 1 / share}


def bits(subject: Subject, gating: Any, recipe: Recipe, training: Any) -> tuple[nn.Module, Record]:
    network, _, _ = gate_precision(
        subject.model, subject.example, subject.training, recipe, gating=gating, training=training
    )
    found = counted(subject, network, 0)
    record = {"gating": gating.model_dump(mode="json"), **found, "bits": average_bits(network, spent(network))}
    return network, record


def counted(subject: Subject, network: nn.Module, elsewhere: int) -> Record:
    reset(network)
    top1 = subject.accuracy(network)["test"]
    layers = spent(network)
    total = in_all(layers, elsewhere)
    shares = {name: round(each.open_share, 4) for name, each in layers.items()}
    return {
        "top1": top1,
        "fewer": total.fewer,
        "share": total.share,
        "open": total.open_share,
        "open_of_layers": shares,
    }


def twin(subject: Subject, gating: PrecisionGating, recipe: Recipe, training: Any) -> tuple[nn.Module, Record]:
    """Return the network with the bits of these gates, in the layers that would have them, always all of them."""
    inputs = [images for images, _ in subject.batches(128, 128)]
    layers = precision_gates(precision_gated(subject.model, subject.example, inputs, gating))
    own = [f"{name}=W{gating.weight_bits}A{gating.bits}" for name in layers]
    network, _ = quantise(subject.model, subject.training, recipe, bits=["float", *own], training=training)
    told = {"bits": float(gating.bits), "share": 1.0, "fewer": 1.0, "open": 1.0}
    return network, {"top1": subject.accuracy(network)["test"], **told}


if __name__ == "__main__":
    main()
