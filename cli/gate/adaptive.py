"""`elastic gate adaptive`: gates that each image decides, to a mean cost."""

from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.gate.files import Files, Folder
from elastic.cli.groups import takes_groups
from elastic.cli.printing import say, show
from elastic.cli.recipes import takes_given, takes_recipe
from elastic.cli.training import Bar, Resume, Trackers, tell
from elastic.gating import DEFAULT, Gating
from elastic.recipes import Recipe


@takes_recipe(epochs=4, learning_rate=0.02, schedule="cosine", warm_up=0.05, label_smoothing=0.0, distil=0.9)
@takes_given("gating", Gating)
@takes_groups
def adaptive(
    *,
    model: options.Model,
    data: options.Images,
    target: Annotated[str, typer.Option(help="Mean cost of an image: macs=60%, or of params, size.")],
    output: options.Output,
    weights: options.TrainedWeights,
    recipe: Recipe,
    gating: dict[str, Any],
    hidden: Annotated[int, typer.Option(min=1, help="Width of the small networks that decide.")] = 16,
    calibration: Annotated[int, typer.Option(min=1, help="Training images for the prior.")] = 512,
    freeze: options.Freeze = None,
    folder: Folder = None,
    resume: Resume = False,
    tracker: Trackers = None,
    opened: options.Opening,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Let each image decide which channels it needs, to a mean cost; what is closed is counted, not skipped.

    The output is a plain file of the network's weights and of what decides. The weights given are the teacher.

    Example: elastic gate adaptive elastic/resnet20 --weights w.pt --data cifar10:DIR --target macs=60% -o a.safetensors
    """
    from elastic.cli.networks import check_output, measure, open_data, open_model, open_training
    from elastic.data import images_loader
    from elastic.gates.adaptive import gate_adaptively
    from elastic.gates.adaptive import measure as measure_gated
    from elastic.gates.adaptive.report import report_of
    from elastic.gates.channels import gating_of
    from elastic.metadata import write_plain
    from elastic.reporting import write_report
    from elastic.tensors import stored
    from elastic.training import is_main, numbered

    check_output(output, overwrite)
    settings = gating_of(DEFAULT, **gating)
    files = Files(output, folder, resume, overwrite)
    opening = open_model(model, weights, **opened.asked)
    tested = open_data(data, opening.preprocessing, download)
    learned, _ = open_training(data, opening.preprocessing, 0.0, recipe.seed, download)
    with Bar("training") as bar:
        gated, price, epochs = gate_adaptively(
            opening.model, opening.example, learned, recipe, target=target, gating=settings, hidden=hidden,
            calibration=calibration, freeze=freeze or (),
            training={
                "keep": numbered(files.keep, 0), "log": numbered(files.log, 0),
                "report": tell, "progress": bar.show, "trackers": tracker or (),
            },
        )  # fmt: skip
    if not is_main():
        return
    whole = measure(opening.model, tested, what="testing", batch=250).top1
    found = measure_gated(gated, price, images_loader(tested, 250))
    state = {name: stored(tensor) for name, tensor in gated.state_dict().items()}
    write_plain(output, state, overwrite=overwrite)
    page = write_report(
        report_of(gated.groups, found, epochs, whole, price.quantity, model), files.folder, overwrite=True
    )
    files.delete_what_is_over()
    result = {"output": str(output), "whole": whole, "top1": found.top1, "report": str(page)}
    result |= {"quantity": price.quantity, "share": found.share, "deviation": found.deviation}
    show(
        result,
        json,
        lambda: say(
            f"{output}: top-1 {found.top1:.2f} % (whole {whole:.2f} %) at {found.share:.1%} of the {price.quantity}, "
            f"{found.deviation:.1%} between images; {page}"
        ),
    )
