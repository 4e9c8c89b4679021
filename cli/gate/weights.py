"""`elastic gate weights`: a gate for each weight; closed ones become zeros, and idle channels are cut."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.gate.files import Files, Folder
from elastic.cli.groups import takes_groups
from elastic.cli.printing import say, show, table
from elastic.cli.recipes import takes_recipe
from elastic.cli.training import Bars, Resume, Trackers, tell
from elastic.recipes import Recipe
from elastic.sizes import size_text


@takes_recipe(epochs=6, optimiser="adamw", learning_rate=0.002, weight_decay=0.01, warm_up=0.2, label_smoothing=0.0)
@takes_groups
def weights(
    *,
    model: options.Model,
    data: options.Images,
    output: options.Output,
    weights: options.TrainedWeights,
    recipe: Recipe,
    strength: Annotated[
        list[float] | None,
        typer.Option(help="Lambda, what an open gate costs; repeatable; 1e-5, 5e-5 and 1e-4 if there is no target."),
    ] = None,
    target: Annotated[list[float] | None, typer.Option(help="Share of weights that become zero; repeatable.")] = None,
    layers: Annotated[
        list[str] | None, typer.Option(help="Name pattern of linear layers and convolutions, all of them unless given.")
    ] = None,
    opening: Annotated[str, typer.Option(help="Of gates: sigmoid, hard-sigmoid or hard-concrete.")] = "sigmoid",
    threshold: Annotated[float, typer.Option(help="With --strength: below it a gate is closed.")] = 0.01,
    rate: Annotated[
        float | None, typer.Option(help="Learning rate of gates, in learning rates of weights (50 with adamw).")
    ] = None,
    gate_warm_up: Annotated[float, typer.Option(help="Share of the steps in which lambda rises.")] = 0.1,
    per: Annotated[str, typer.Option(help="What gates pay for: params; or macs, the uses of a weight.")] = "params",
    fine_tune: Annotated[int, typer.Option(min=0, help="Epochs in which what is left is trained.")] = 4,
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="Prune by magnitude to the same share of zeros, and tune.")
    ] = True,
    folder: Folder = None,
    resume: Resume = False,
    tracker: Trackers = None,
    opened: options.Opening,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Train a gate for each weight, make closed ones exact zeros, tune around them, cut idle channels and neurons.

    The weights given are the teacher (--distil), and the largest level of each file, bit for bit. Several lambdas or
    targets give NAME.0.safetensors, NAME.1.safetensors and so on; beside each lies the cut network in a sparse file,
    NAME.sparse.safetensors. The folder has each epoch, tables, pictures and a page.

    Example: elastic gate weights elastic/self_pruning --weights w.pt --data cifar10:data --target 0.9 -o n.safetensors
    """
    from elastic.cli.networks import check_output, measure, open_data, open_model, open_training
    from elastic.gates.weights.report import report_of
    from elastic.gates.weights.sweeping import LAMBDAS, sweep
    from elastic.reporting import write_report
    from elastic.sparse_storage import save_sparse
    from elastic.training import is_main, numbered

    count = len(strength or ()) + len(target or ()) or len(LAMBDAS)
    outputs = [output] if count == 1 else [numbered(output, number) or output for number in range(count)]
    for path in outputs:
        check_output(path, overwrite)
        check_output(_sparse(path), overwrite)
    files = Files(output, folder, resume, overwrite)
    opening_of = open_model(model, weights, **opened.asked)
    tested = open_data(data, opening_of.preprocessing, download)
    learned, _ = open_training(data, opening_of.preprocessing, 0.0, recipe.seed, download)

    def top1(network: Any) -> float:
        return measure(network, tested, what="testing", batch=250).top1

    with Bars() as bars:
        outcomes = sweep(
            opening_of.model, opening_of.example, learned, recipe, strengths=strength or (), targets=target or (),
            layers=layers or ("*",), opening=opening, threshold=threshold, rate=rate, warm_up=gate_warm_up, per=per,
            fine_tune=recipe.model_copy(update={"epochs": fine_tune}) if fine_tune else None, control=control,
            teacher=None if recipe.distil == 0 else opening_of.model, measure=top1, keep=files.keep, log=files.log,
            progress=bars.show, report=lambda name, epoch: tell(epoch, name), training={"trackers": tracker or ()},
        )  # fmt: skip
    if not is_main():
        return
    whole, sizes = top1(opening_of.model), {"dense": weights.stat().st_size}
    named = {"model_name": opening_of.name, "arguments": opening_of.arguments}
    rows = []
    for path, each in zip(outputs, outcomes, strict=True):
        each.found.save(path, input=opening_of.preprocessing.to_dict(), overwrite=overwrite, **named)
        save_sparse(_sparse(path), each.found.cut.state_dict(), overwrite=overwrite)
        sizes[each.name] = _sparse(path).stat().st_size
        layers_of = dict(each.found.sparsity.layers)
        rows.append({"aim": each.name, "output": str(path), "zeros": each.found.sparsity.overall, "layers": layers_of})
        rows[-1] |= {"top1": dict(each.found.measured), "magnitude": dict(each.control), "bytes": sizes[each.name]}
    page = write_report(report_of(outcomes, whole, sizes, model), files.folder, overwrite=True)
    files.delete_what_is_over()
    result = {"dense": whole, "aims": rows, "report": str(page)}
    show(result, json, partial(_render, rows, whole, sizes["dense"], page))


def _sparse(path: Path) -> Path:
    return path.with_suffix(".sparse.safetensors")


def _render(rows: list[dict[str, Any]], whole: float, dense: int, page: Path) -> None:
    found = [["dense", "0.0%", "", f"{whole:.2f} %", "", size_text(dense)]]
    for row in rows:
        tops = [row["top1"]["hard"], row["top1"]["cut"], row["magnitude"].get("cut")]
        shown = ["" if top1 is None else f"{top1:.2f} %" for top1 in tops]
        found.append([row["aim"], f"{row['zeros']:.1%}", *shown, size_text(row["bytes"])])
    table(["aim", "zeros", "hard", "top-1", "magnitude", "sparse file"], found)
    say(f"{', '.join(row['output'] for row in rows)}; {page}: how gates closed")
