"""`elastic fine-tune`: train a level of a file on images, with the whole network as its teacher."""

from functools import partial
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.printing import say, show
from elastic.cli.recipes import takes_recipe
from elastic.cli.training import Bar, Resume, Trackers, Validation, beside, tell
from elastic.recipes import Recipe


@takes_recipe(epochs=15, learning_rate=0.05)
def fine_tune(
    file: options.File,
    data: options.Images,
    output: options.Output,
    recipe: Recipe,
    level: Annotated[str, typer.Option(help="The level to train, by name or number.")] = "smallest",
    model: options.OwnModel = None,
    validation: Validation = 0.0,
    resume: Resume = False,
    tracker: Trackers = None,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Train a smaller level of a file; all other levels stay bit for bit. The whole network is the teacher.

    Example: elastic fine-tune net.safetensors --level macs=50% --data cifar10:data --epochs 15 -o tuned.safetensors
    """
    from elastic import tuning
    from elastic.cli.networks import (
        check_output,
        level_number,
        load_level,
        measure,
        open_data,
        open_file,
        open_training,
    )
    from elastic.training import is_main

    check_output(output, overwrite)
    files = beside(output, resume, overwrite)
    header, preprocessing = open_file(file)
    number = level_number(header, level)
    network = partial(load_level, file, header, own_model=model)
    tested = open_data(data, preprocessing, download)
    learned, held_out = open_training(data, preprocessing, validation, recipe.seed, download)
    how: dict[str, Any] = {"validation": held_out, "report": tell, "network": network, "overwrite": overwrite, **files}
    with Bar("training") as bar:
        epochs = tuning.fine_tune(
            file, output, learned, recipe, level=number, progress=bar.show, trackers=tracker or (), **how
        )
    if not is_main():
        return
    files["keep"].unlink(missing_ok=True)
    name, top1 = header.levels[number].name, {}
    for what, path in (("before", file), ("after", output)):
        top1[what] = measure(
            load_level(path, header, number, model), tested, what=f"testing {name}, {what}", batch=250
        ).top1
    result = {"output": str(output), "level": name, "epochs": [epoch.model_dump() for epoch in epochs], "top1": top1}
    show(
        result,
        json,
        lambda: say(f"{output}: level {name}, top-1 {top1['before']:.2f} % -> {top1['after']:.2f} %; {files['log']}"),
    )
