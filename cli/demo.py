"""`elastic demo`: the main job on digits, from nothing to three sizes in one file, in less than a minute."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.printing import Steps, count, note, say, show, table
from elastic.cli.training import Bar
from elastic.sizes import size_text

NETWORK, DATA, TARGETS = "elastic/digits_resnet", "digits", ("macs=25%", "macs=50%")
CALIBRATION = 512  # images without labels


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for what is made.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of training.")] = 30,
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Train a small network on digits, prune it to 50 % and 25 %, repair, save, rebuild, verify, export.

    Example: elastic demo -o demo
    """
    import torch

    from elastic import checkpoint, exporting, models, proofs, pruning
    from elastic.cli.networks import check_output, measure, open_calibration, open_data
    from elastic.data import Preprocessing, load
    from elastic.latency import measure_latency
    from elastic.picturing import Point, draw_levels
    from elastic.training import Recipe, train

    output.mkdir(parents=True, exist_ok=True)
    file, picture = output / "digits.safetensors", output / "levels.png"
    onnx = [output / f"digits-{number}.onnx" for number in range(len(TARGETS) + 1)]
    for path in (file, picture, *onnx):
        check_output(path, overwrite, path.suffix)
    start = time.perf_counter()
    torch.set_num_threads(1)  # so small a network gains nothing from more, and loses much on a busy machine
    torch.manual_seed(seed)
    model, preprocessing = models.build(NETWORK), Preprocessing.default(NETWORK)
    digits, example = load(DATA, train=True, preprocessing=preprocessing), preprocessing.example()
    with Bar("training") as bar:
        train(model, digits, Recipe(epochs=epochs, shift=1, mirror=False, seed=seed), progress=bar.show)
    calibration = open_calibration(DATA, preprocessing, CALIBRATION, CALIBRATION, seed)
    pruned = pruning.prune(model, example, target=TARGETS, data=calibration, seed=seed, recover=False)
    for number in range(len(TARGETS)):
        proofs.prove_cut(model, pruned.plan, pruned.levels, number, example)
    with Steps("fitting layers") as steps:
        pruned = pruned.recovered(pruning.inputs_of(calibration, model), seed=seed, progress=steps)
    pruned.save(file, model_name=NETWORK, input=preprocessing.to_dict(), overwrite=overwrite)
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(pruned.names):
        network, cost = checkpoint.load(file, name), pruned.cost(number)
        exported = exporting.export(network, example, onnx[number], "onnx", overwrite=overwrite)
        top1 = measure(network, open_data(DATA, preprocessing), what=f"testing {name}", batch=360).top1
        row = {"level": name, "params": cost.params, "macs": cost.macs, "bytes": cost.bytes, "top1": top1}
        latency = measure_latency(network, example).median * 1e3
        rows.append({**row, "milliseconds": latency, "onnx_bytes": exported.bytes, "onnx_error": exported.error})
    tensors = proofs.prove_equal(checkpoint.load_state(file), model.state_dict())
    points = [Point(row["level"], row["macs"], row["bytes"], row["top1"]) for row in rows]
    draw_levels(points, picture, "One file, three sizes: a residual network on scikit-learn's digits")
    seconds = time.perf_counter() - start
    size_of_file = file.stat().st_size
    result = {
        "file": str(file),
        "bytes": size_of_file,
        "picture": str(picture),
        "levels": rows,
        "seconds": seconds,
    }

    def render() -> None:
        columns = ["level", "params", "MACs", "size", "top-1", "latency", "ONNX = torch"]
        table(columns, [_row(row) for row in rows])
        say(f"{file}: all three in {size_text(size_of_file)}; weights that the repair changed are a level's own")
        say(f"rebuilt: {tensors} tensors, bit for bit the trained network; masked = cut for both smaller levels")
        say(f"latency: median of one image on one thread, torch eager; picture: {picture}")

    show(result, json, render)
    note(f"done in {seconds:.0f} s")


def _row(row: dict[str, Any]) -> list[str]:
    costs = [count(row["params"]), count(row["macs"]), size_text(row["bytes"])]
    return [row["level"], *costs, f"{row['top1']:.2f} %", f"{row['milliseconds']:.2f} ms", f"{row['onnx_error']:.0e}"]
