"""Options that several verbs share, so that one thing is called the same everywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

Model = Annotated[
    str, typer.Argument(help="elastic/resnet56, torchvision/resnet50, timm/..., or your own package.module:factory.")
]
File = Annotated[Path, typer.Argument(help="An elastic file, as `elastic prune` writes it.")]
Weights = Annotated[
    Path | None, typer.Option(help="Trained weights: .safetensors, or .pt/.pth (read without pickled code).")
]
TrainedWeights = Annotated[
    Path, typer.Option("--weights", help="Trained weights: .safetensors, or .pt/.pth (read without pickled code).")
]
Images = Annotated[
    str, typer.Option("--data", help="cifar10:DIR, imagenette:DIR, digits, ...: see `elastic prune --help`.")
]
Data = Annotated[
    str | None,
    typer.Option(
        help="cifar10:DIR, cifar100:DIR, svhn:DIR, imagenette:DIR, imagefolder:DIR, digits, or package.module:function."
    ),
]
Download = Annotated[bool, typer.Option("--download", help="Fetch the data set into DIR where torchvision can.")]
NumClasses = Annotated[
    int | None, typer.Option(min=1, help="Outputs of the network, where its builder's default is another.")
]
Mean = Annotated[str | None, typer.Option(help="Mean of each channel, on pixels from 0 to 1: 0.485,0.456,0.406.")]
Std = Annotated[str | None, typer.Option(help="Standard deviation of each channel: 0.229,0.224,0.225.")]
Size = Annotated[int | None, typer.Option("--size", min=1, help="Height and width of the input in pixels.")]
Level = Annotated[str | None, typer.Option(help="A level's name or number; 'smallest', 'largest' (the default).")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use only so many images, chosen at random with a fixed seed.")]
Batch = Annotated[int, typer.Option(min=1, help="Images at a time.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OwnModel = Annotated[
    str | None, typer.Option("--model", help="The model, for a file of your own network: package.module:factory.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of random choices.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads to run on; torch's own number by default.")]
Clock = Annotated[
    str, typer.Option(help="wall, or thread: where one thread runs, that thread alone, on a machine that is busy.")
]
Engine = Annotated[str, typer.Option(help="What traces: elastic, or torch-pruning, which reads that library's graph.")]
Reduction = Annotated[str | None, typer.Option(help="Of a unit's elements: sum (the default), mean or max.")]
Hessian = Annotated[str | None, typer.Option(help="With hessian: obd (the default), hutchinson or gauss-newton.")]
Normalisation = Annotated[
    str | None,
    typer.Option(
        help="What scores of a layer are relative to: none (the default where scores are losses), its mean (the "
        "default for all others), its max, or gaussian (z-scores)."
    ),
]
Scope = Annotated[
    str | None,
    typer.Option(
        help="Who competes: global (all, the default), uniform (all layers lose one share), isomorphic (like with "
        "like)."
    ),
]
Per = Annotated[
    str | None,
    typer.Option(
        help="Rank by score lost per macs (multiply-accumulates), params, size (bytes) or memory (bytes held at once) "
        "that a unit saves, or by unit. Where scores are losses the default is what the target limits, else by unit."
    ),
]
Share = Annotated[
    list[str] | None,
    typer.Option(help="PATTERN=SHARE removed of layers by name, 0 to below 1; others compete globally; repeatable."),
]
Freeze = Annotated[list[str] | None, typer.Option(help="Name pattern of layers that keep their width; repeatable.")]


def _more_than_nothing(number: float) -> float:
    if not 0 < number < math.inf:
        raise typer.BadParameter(f"{number} is not a number above 0; give at least 1, or a share of each layer")
    return number


class Group:
    """Options that belong together; a subclass is a dataclass of them, which `takes_groups` takes apart."""

    @property
    def asked(self) -> dict[str, Any]:
        """All of them, by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Opening(Group):
    """How a network is opened."""

    num_classes: NumClasses = None
    mean: Mean = None
    std: Std = None
    size: Size = None


@dataclass(frozen=True)
class Bounds(Group):
    """Widths that layers may take."""

    keep_at_least: Annotated[
        float,
        typer.Option(callback=_more_than_nothing, help="Channels that every layer keeps; below 1, a share of it."),
    ] = 1
    round_to: Annotated[int, typer.Option(min=1, help="Keep multiples of so many channels.")] = 1
    freeze: Freeze = None

    @property
    def asked(self) -> dict[str, Any]:
        """All of them, by name."""
        return {**vars(self), "freeze": self.freeze or []}


def option(name: str) -> str:
    """Return a parameter's name as it is typed."""
    return "--" + name.replace("_", "-")


def shares(given: Sequence[str], scope: str | None) -> dict[str, float]:
    """Return the shares that are given as PATTERN=SHARE, by pattern.

    Raises BadParameter if one can't be read, or if another scope than that of the rest, global, is given too.
    """
    if given and scope not in (None, "global"):
        raise typer.BadParameter(f"--share and --scope {scope} were given both; the rest competes globally")
    found: dict[str, float] = {}
    for text in given:
        pattern, _, share = text.rpartition("=")
        try:
            number = float(share)
        except ValueError:
            pattern = ""
        if not pattern:
            raise typer.BadParameter(f"can't read --share {text!r}; write PATTERN=SHARE, as in 'layer1.*=0.3'")
        if not 0 <= number < 1:
            raise typer.BadParameter(f"--share {text!r}: give the part to remove, from 0 to below 1")
        if pattern in found:
            raise typer.BadParameter(f"--share gives {pattern!r} twice; say it once")
        found[pattern] = number
    return found
