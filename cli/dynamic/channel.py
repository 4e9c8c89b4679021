"""`elastic dynamic channel`: levels whose convolutions read the rest of their channels where that is worth it."""

from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.dynamic.running import Running, run
from elastic.cli.groups import takes_groups
from elastic.cli.recipes import takes_given, takes_recipe
from elastic.dynamic_gating import ChannelGating
from elastic.recipes import Recipe


@takes_recipe(epochs=4, learning_rate=0.02, schedule="cosine", warm_up=0.05, label_smoothing=0.0, distil=0.9)
@takes_given("gating", ChannelGating)
@takes_groups
def channel(
    *,
    file: options.File,
    data: options.Images,
    output: options.Output,
    recipe: Recipe,
    gating: dict[str, Any],
    preset: Annotated[
        str, typer.Option(help="Settings of gates: paper, published or skipping; other options go first.")
    ] = "paper",
    running: Running,
) -> None:
    """Put gates on levels: convolutions read part of their channels, and the rest where sums of these ask for it.

    A smaller level is replaced, the largest stays, and gets a gated one below it; it is the teacher. The folder has
    each epoch, tables, pictures and a page.

    Example: elastic dynamic channel net.safetensors --budget 0.6 --data cifar10:data -o gated.safetensors
    """
    from elastic.dynamic_gating import channel_gating_of

    run(file, data, output, recipe, channel_gating_of(preset, **gating), running)
