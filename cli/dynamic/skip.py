"""`elastic dynamic skip`: what a level with channel gates saves by the clock, beside what it leaves out in theory."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import plain, say, show, table

if TYPE_CHECKING:
    from elastic.dynamic.channel import Saving


@takes_groups
def skip(
    *,
    file: options.File,
    data: options.Images,
    level: options.Level = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time, for timing and for accuracy.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Torch's threads; as many as it has unless given.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Times that each network and layer is timed, in turns.")] = 11,
    open_slower: Annotated[
        bool, typer.Option("--open-slower", help="Open the gates of layers that are slower than without gates.")
    ] = False,
    limit: options.Limit = 1000,
    model: options.OwnModel = None,
    download: options.Download = False,
    json: options.Json = False,
) -> None:
    """Time a level whose channel gates skip, beside the same network without gates and with gates that mask.

    Prints for each layer and the network what is left out in theory and what is saved by the clock, and the accuracy
    on test images. The file stays as it is: what pays depends on the machine. In Python: `skipping_network`,
    `open_where_slower`, `savings`.

    Example: elastic dynamic skip gated.safetensors --level full-gated --data cifar10:data --batch 16 --threads 1
    """
    import torch

    from elastic.cli.networks import level_number, load_level, measure, open_data, open_file
    from elastic.data import images_loader
    from elastic.dynamic.channel import ChannelGated, left_masked, open_where_slower, savings, skipping_network
    from elastic.dynamic.counting import reset
    from elastic.dynamic.spending import elsewhere_of
    from elastic.errors import CannotSkip

    header, preprocessing = open_file(file)
    number = level_number(header, level)
    name, macs = header.levels[number].name, header.levels[number].macs
    gated = load_level(file, header, number, model).float().eval()
    if not any(isinstance(module, ChannelGated) for module in gated.modules()):
        raise CannotSkip(
            f"level {name!r} of {file} has no channel gates, so it leaves nothing out by the clock; give one that "
            "`elastic dynamic channel` made"
        )
    tested = open_data(data, preprocessing, download)
    images = next(iter(images_loader(tested, batch, limit=batch, seed=0)))[0]
    if threads is not None:
        torch.set_num_threads(threads)
    skipping = skipping_network(gated, images)
    opened = open_where_slower(skipping, images) if open_slower else ()
    found = savings(gated, skipping, images, elsewhere=elsewhere_of(gated, macs, images), runs=runs)
    reset(gated)
    top1 = {
        what: measure(each, tested, what=f"testing {name}, {what}", batch=batch, limit=limit).top1
        for what, each in (("masked", gated), ("skipping", skipping))
    }
    result = {
        "file": str(file), "level": name, "batch": len(images), "threads": torch.get_num_threads(), "runs": runs,
        "layers": {each.name: each.as_json() for each in found[:-1]}, "all": found[-1].as_json(), "top1": top1,
        "opened": list(opened), "masked": left_masked(skipping),
    }  # fmt: skip
    show(result, json, lambda: _render(found, result))


def _render(found: tuple["Saving", ...], result: dict[str, Any]) -> None:
    from elastic.dynamic.channel import savings_table
    from elastic.reporting.numbers import shown

    told = savings_table(found)
    table(told.heads, [[plain(row[0]), *map(shown, row[1:])] for row in told.rows])
    for name, reason in result["masked"].items():
        say(f"{plain(name)} computes everything: {reason}")
    if result["opened"]:
        say(f"opened, since skipping was slower: {', '.join(map(plain, result['opened']))}")
    top1, whole = result["top1"], found[-1]
    say(
        f"{plain(result['level'])}, batch {result['batch']}, {result['threads']} threads: {whole.in_theory:.2f} times "
        f"fewer MACs, {whole.measured:.2f} times faster; top-1 {top1['skipping']:.2f} % (masked {top1['masked']:.2f} %)"
    )
