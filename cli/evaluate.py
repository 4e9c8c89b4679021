"""`elastic eval`: held-out accuracy of a model, or of a level of a file."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import say, show


@takes_groups
def evaluate(
    *,
    network: Annotated[str, typer.Argument(help="An elastic file, or a model's name with --weights.")],
    data: Annotated[str, typer.Option(help="cifar10:DIR, imagenette:DIR, digits, ...: see `elastic prune --help`.")],
    level: options.Level = None,
    weights: options.Weights = None,
    model: options.OwnModel = None,
    opening: options.Opening,
    limit: options.Limit = None,
    batch: options.Batch = 250,
    download: options.Download = False,
    json: options.Json = False,
) -> None:
    """Measure accuracy on the test part of a data set; of a level with gates, tell what they let be computed too.

    Example: elastic eval net.safetensors --level macs=50% --data cifar10:data
    """
    from elastic.cli.networks import is_file, level_number, load_level, measure, open_data, open_file, open_model
    from elastic.dynamic.counting import reset
    from elastic.dynamic.spending import spending
    from elastic.errors import UnknownName
    from elastic.makes import is_gated

    of_names = {"weights": weights, **opening.asked}
    if is_file(network):
        if idle := [options.option(name) for name, value in of_names.items() if value is not None]:
            raise UnknownName(
                f"{network} is a file, which knows its own input and weights; leave out {', '.join(idle)}"
            )
        header, preprocessing = open_file(Path(network))
        number = level_number(header, level)
        opened, name = load_level(Path(network), header, number, model), header.levels[number].name
        macs = header.levels[number].macs if is_gated(opened) else None
    else:
        if weights is None or level is not None or model is not None:
            raise UnknownName(
                f"{network} is no file, so it is taken for a model's name: that needs --weights, and takes no --level "
                f"and no --model"
            )
        found = open_model(network, weights, **opening.asked)
        opened, preprocessing, name, macs = found.model, found.preprocessing, str(weights), None
    if macs is not None:
        reset(opened)
    images = open_data(data, preprocessing, download)
    metrics = measure(opened, images, what=f"testing {name}", batch=batch, limit=limit)
    result = {
        "network": network, "level": name, "data": data, "images": metrics.images, "correct": metrics.correct,
        "top1": metrics.top1, "top5": metrics.top5, "loss": metrics.loss,
    }  # fmt: skip
    computed = None if macs is None else spending(opened, macs)
    if computed is not None:
        result["computed"] = computed.as_json()
    counts = f"{metrics.correct:,} of {metrics.images:,}"
    show(
        result,
        json,
        lambda: say(
            f"{name}: top-1 {metrics.top1:.2f} % ({counts}), top-5 {metrics.top5:.2f} %, loss {metrics.loss:.4f}"
            + ("" if computed is None else f"; {computed}")
        ),
    )
