"""`elastic dynamic precision`: levels whose convolutions use the low bits of inputs where that is worth it."""

from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.dynamic.running import Running, run
from elastic.cli.groups import takes_groups
from elastic.cli.recipes import takes_given, takes_recipe
from elastic.dynamic_gating import PrecisionGating
from elastic.recipes import Recipe


@takes_recipe(epochs=4, learning_rate=0.02, schedule="cosine", warm_up=0.05, label_smoothing=0.0, distil=0.9)
@takes_given("gating", PrecisionGating)
@takes_groups
def precision(
    *,
    file: options.File,
    data: options.Images,
    output: options.Output,
    recipe: Recipe,
    gating: dict[str, Any],
    preset: Annotated[
        str,
        typer.Option(
            help="Settings of gates: calibrated, published, published-2-1 or skipping; other options go first."
        ),
    ] = "calibrated",
    running: Running,
) -> None:
    """Put gates on levels: convolutions use the high bits of inputs, and the low ones where their sums ask for it.

    A smaller level is replaced, the largest stays, and gets a gated one below it; it is the teacher. The folder has
    each epoch, tables, pictures and a page.

    Example: elastic dynamic precision net.safetensors --bits 4 --data cifar10:data -o gated.safetensors
    """
    from elastic.dynamic_gating import precision_gating_of

    run(file, data, output, recipe, precision_gating_of(preset, **gating), running)
