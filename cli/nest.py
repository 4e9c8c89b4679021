"""`elastic nest`: train the levels of one file to be each other's parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import note, say, show
from elastic.cli.recipes import takes_recipe
from elastic.cli.training import Bars, Resume, Trackers, refuse_unasked, rows_of, show_levels, tell
from elastic.recipes import Recipe
from elastic.sizes import size_text

if TYPE_CHECKING:
    from elastic.cli.networks import Opened


@takes_recipe(epochs=15, learning_rate=0.05)
@takes_groups
def nest(
    *,
    network: Annotated[str, typer.Argument(help="A model's name with --weights, or a file of `elastic prune`.")],
    data: options.Images,
    output: options.Output,
    recipe: Recipe,
    levels: Annotated[str | None, typer.Option(help="Of a model: macs=25%,50%,75%; or of params, size.")] = None,
    names: Annotated[str | None, typer.Option(help="Of these levels, in their order: small,medium,large.")] = None,
    grow: Annotated[
        bool, typer.Option("--grow/--joint", help="One level around the other, or all of them at once.")
    ] = True,
    together: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.99, help="With --grow: share of the epochs in which all levels are trained at once (0.75)."
        ),
    ] = None,
    between: Annotated[
        int | None, typer.Option(min=0, help="With --joint: levels of each step beside largest and smallest (1).")
    ] = None,
    norms: Annotated[
        str | None, typer.Option(help="With --joint: private to each level (the default), or re-estimated in the end.")
    ] = None,
    weights: options.Weights = None,
    criterion: Annotated[str | None, typer.Option(help="What ranks units: energy unless given.")] = None,
    calibration: Annotated[int, typer.Option(min=1, help="Training images for scores and repair.")] = 512,
    bounds: options.Bounds,
    resume: Resume = False,
    tracker: Trackers = None,
    model: options.OwnModel = None,
    opening: options.Opening,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Train levels that share their weights in one file: each around the smaller ones, or all at once.

    Grown levels leave the smaller ones inside of them as they were, bit for bit. Either way the largest level is
    trained too, so the file holds no original: keep it.

    Example: elastic nest elastic/resnet20 --weights w.safetensors --data cifar10:data --levels macs=25%,50%,75% -o n.safetensors
    """  # noqa: E501
    from elastic import nesting
    from elastic.cli.networks import check_output, load_level, measure, open_data, open_file, open_training
    from elastic.errors import UnknownName
    from elastic.training import is_main

    way = "grow" if grow else "joint"
    of_way: dict[str, dict[str, Any]] = {"grow": {"together": together}, "joint": {"between": between, "norms": norms}}
    asked = {name: value for each in of_way.values() for name, value in each.items() if value is not None}
    if idle := [name for name in asked if name not in of_way[way]]:
        other = "joint" if grow else "grow"
        raise UnknownName(f"--{idle[0]} is of --{other}, and this is --{way}; leave it out")
    files = _Files(output)
    refuse_unasked(files.kept, resume)
    for path in (output, *files.logs):
        check_output(path, overwrite or (resume and path != output), path.suffix)
    of_model = {"levels": levels, "names": names, "weights": weights, "criterion": criterion}
    images = partial(_images, data, calibration, recipe.seed, download)
    start = _Asked(network, of_model, opening.asked, bounds.asked, images).start(files.start)
    header, preprocessing = open_file(start)
    tested = open_data(data, preprocessing, download)
    learned, _ = open_training(data, preprocessing, 0.0, recipe.seed, download)
    own = model or (network if start == files.start and ":" in network else None)

    def report(name: str, epoch: Any) -> None:
        tell(epoch, name)

    with Bars() as bars:
        told = nesting.nest(
            start, output, learned, recipe, way=way, overwrite=overwrite,  # type: ignore[arg-type]
            network=partial(load_level, start, header, own_model=own),
            measure=lambda each: {"top1": measure(each, tested, what="testing", batch=250).top1},
            keep=files.keep, log=files.log, progress=bars.show, report=report, trackers=tracker or (), **asked,
        )  # fmt: skip
    if not is_main():
        return
    files.delete_what_is_over()
    made, _ = open_file(output)
    rows = rows_of(made)
    epochs = {name: [epoch.model_dump() for epoch in each] for name, each in told.items()}
    written = output.stat().st_size
    result = {"output": str(output), "contract": made.contract, "bytes": written, "levels": rows, "epochs": epochs}

    def render() -> None:
        show_levels(rows)
        say(f"{output}: contract {made.contract}, {len(rows)} levels in {size_text(written)}")

    show(result, json, render)


class _Files:
    """What is written beside the output: pruned levels, where trainings stand, their epochs."""

    def __init__(self, output: Path) -> None:
        self.start = output.with_suffix(".start.safetensors")
        self.keep, self.log = output.with_suffix(".training"), output.with_suffix(".jsonl")

    @property
    def kept(self) -> list[Path]:
        """What is deleted once it is over; the first is there as soon as something was begun."""
        return [self.start, *self._numbered(self.keep)]

    @property
    def logs(self) -> list[Path]:
        """Epochs of each level, or of all."""
        return self._numbered(self.log)

    def delete_what_is_over(self) -> None:
        """Delete what was needed to go on with."""
        for path in self.kept:
            path.unlink(missing_ok=True)

    def _numbered(self, path: Path) -> list[Path]:
        pattern = f"{path.stem}.[0-9]*{path.suffix}"
        return [path, *(each for each in path.parent.glob(pattern) if each.suffixes[-2][1:].isdecimal())]


@dataclass(frozen=True)
class _Asked:
    """A model that is to be pruned first, or a file that is not."""

    network: str
    of_model: Mapping[str, Any]  # levels, names, weights, criterion; None where not given
    opening: Mapping[str, Any]  # how the model is opened
    bounds: Mapping[str, Any]
    images: Callable[["Opened"], Any]

    def start(self, file: Path) -> Path:
        """Return the file of pruned levels: what the user gave, or `file`, which the first process makes."""
        from elastic.cli.networks import is_file
        from elastic.errors import UnknownName
        from elastic.training import main_first

        if is_file(self.network):
            if idle := [option for option, value in self.of_model.items() if value is not None]:
                raise UnknownName(f"{self.network} is a file, which has its levels and weights; leave out --{idle[0]}")
            return Path(self.network)
        if self.of_model["levels"] is None or self.of_model["weights"] is None:
            raise UnknownName(
                f"{self.network} is no file, so it is taken for a model's name: give --weights and --levels"
            )
        with main_first():  # all have looked before whether something is in the way
            if not file.exists():
                self.prune(file)
        return file

    def prune(self, file: Path) -> None:
        """Write the pruned and repaired levels of the model into a file."""
        from elastic import pruning
        from elastic.cli.networks import open_model
        from elastic.errors import UnknownName
        from elastic.targets import parse_targets

        of = self.of_model
        targets = parse_targets(of["levels"])
        names = [str(target) for target in targets] if of["names"] is None else of["names"].split(",")
        if len(names) != len(targets):
            raise UnknownName(f"--names {of['names']} has {len(names)} for {len(targets)} levels; give one each")
        called = dict(zip(map(str, targets), names, strict=True))
        opened = open_model(self.network, of["weights"], **self.opening)
        note("pruning and repairing the levels")
        images, criterion = self.images(opened), of["criterion"]
        pruned = pruning.prune(
            opened.model, opened.example, target=targets, data=images, criterion=criterion, **self.bounds
        )
        pruned.save(
            file,
            names=[*(called[str(target)] for target in pruned.targets), pruned.names[-1]],
            model_name=opened.name,
            arguments=opened.arguments,
            input=opened.preprocessing.to_dict(),
        )


def _images(data: str, calibration: int, seed: int, download: bool, opened: "Opened") -> Any:
    from elastic.cli.networks import open_calibration

    return open_calibration(data, opened.preprocessing, calibration, 250, seed, download)
