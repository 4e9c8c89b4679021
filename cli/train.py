"""`elastic train`: a network from scratch, or from the weights that it has."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.printing import Steps, note, say, show
from elastic.cli.recipes import takes_recipe
from elastic.recipes import Recipe

if TYPE_CHECKING:
    from elastic.training import Epoch

Validation = Annotated[
    float,
    typer.Option(
        min=0,
        max=0.5,
        help="Share of the training images that is not trained on: the epoch that is best there is kept.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the same command was stopped.")]


@takes_recipe()
def train(
    model: options.Model,
    data: options.Images,
    output: options.Output,
    recipe: Recipe,
    weights: options.Weights = None,
    validation: Validation = 0.0,
    resume: Resume = False,
    num_classes: options.NumClasses = None,
    mean: options.Mean = None,
    std: options.Std = None,
    input_size: options.Size = None,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Train a network on the training part of a data set, and test it.

    Example: elastic train elastic/resnet20 --data cifar10:data --epochs 30 -o resnet20.safetensors
    """
    import torch

    from elastic.cli.networks import check_output, measure, open_data, open_model, open_training
    from elastic.metadata import write_plain
    from elastic.tensors import stored
    from elastic.training import is_main
    from elastic.training import train as run

    check_output(output, overwrite)
    check_output(output.with_suffix(".json"), overwrite, ".json")
    files = beside(output, resume, overwrite)
    torch.manual_seed(recipe.seed)
    opened = open_model(model, weights, num_classes=num_classes, mean=mean, std=std, size=input_size)
    tested = open_data(data, opened.preprocessing, download)
    learned, held_out = open_training(data, opened.preprocessing, validation, recipe.seed, download)
    network = opened.model.float()
    with Steps("training") as progress:
        epochs = run(network, learned, recipe, validation=held_out, report=tell, progress=progress, **files)
    if not is_main():
        return
    metrics = measure(network, tested, what="testing", batch=250)
    state = {name: stored(tensor) for name, tensor in network.state_dict().items()}
    write_plain(output, state, overwrite=overwrite)
    opened.preprocessing.write_beside(output, overwrite=overwrite)
    files["keep"].unlink(missing_ok=True)
    result = {"output": str(output), "epochs": [epoch.model_dump() for epoch in epochs], "top1": metrics.top1}
    show(result, json, lambda: say(f"{output}: top-1 {metrics.top1:.2f} %; {files['log']}: its epochs"))


def beside(output: Path, resume: bool, overwrite: bool) -> dict[str, Any]:
    """Return where a training keeps what it has come to, and its epochs; refuse to go on with one unasked."""
    from elastic.cli.networks import check_output
    from elastic.errors import OutputExists, PathError

    keep, log = output.with_suffix(".training"), output.with_suffix(".jsonl")
    if keep.exists() and not resume:
        raise OutputExists(f"{keep} is of a training that was stopped; pass --resume to go on, or delete it")
    if resume and not keep.exists():
        raise PathError(f"there is no {keep} to go on from; leave out --resume")
    check_output(log, overwrite or resume, ".jsonl")
    return {"keep": keep, "log": log}


def tell(epoch: "Epoch") -> None:
    """Print an epoch to stderr."""
    held_out = f", {epoch.validation_top1:.2f} % held out" if epoch.validation_top1 is not None else ""
    note(
        f"epoch {epoch.epoch}: loss {epoch.loss:.4f}, top-1 {epoch.top1:.2f} %{held_out}, "
        f"{epoch.images_per_second:,.0f} images a second"
    )
