"""`elastic train`: a network from scratch, or from the weights that it has."""

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import say, show
from elastic.cli.recipes import takes_recipe
from elastic.cli.training import Bar, Resume, Trackers, Validation, beside, tell
from elastic.recipes import Recipe


@takes_recipe()
@takes_groups
def train(
    *,
    model: options.Model,
    data: options.Images,
    output: options.Output,
    recipe: Recipe,
    weights: options.Weights = None,
    validation: Validation = 0.0,
    resume: Resume = False,
    tracker: Trackers = None,
    opening: options.Opening,
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
    opened = open_model(model, weights, **opening.asked)
    tested = open_data(data, opened.preprocessing, download)
    learned, held_out = open_training(data, opened.preprocessing, validation, recipe.seed, download)
    network = opened.model.float()
    with Bar("training") as bar:
        epochs = run(
            network,
            learned,
            recipe,
            validation=held_out,
            report=tell,
            progress=bar.show,
            trackers=tracker or (),
            **files,
        )
    if not is_main():
        return
    metrics = measure(network, tested, what="testing", batch=250)
    state = {name: stored(tensor) for name, tensor in network.state_dict().items()}
    write_plain(output, state, overwrite=overwrite)
    opened.preprocessing.write_beside(output, overwrite=overwrite)
    files["keep"].unlink(missing_ok=True)
    result = {"output": str(output), "epochs": [epoch.model_dump() for epoch in epochs], "top1": metrics.top1}
    show(result, json, lambda: say(f"{output}: top-1 {metrics.top1:.2f} %; {files['log']}: its epochs"))
