"""`elastic verify`: the proofs, on a file, here and now."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.printing import note, say, show, table


def verify(
    file: options.File,
    against: Annotated[Path | None, typer.Option(help="The original weights, to compare with bit for bit.")] = None,
    to: Annotated[str, typer.Option(help="What levels are exported as: onnx, torch-export, state-dict.")] = "onnx",
    model: options.OwnModel = None,
    json: options.Json = False,
) -> None:
    """Prove that every level is what was saved, that masked = cut, and that every export = torch.

    Levels with gates that inputs decide are exported --to state-dict only; --to others leaves that proof out for them.

    Example: elastic verify net.safetensors --against resnet56.safetensors
    """
    from elastic import checkpoint, exporting, proofs
    from elastic.cli.networks import load_level, open_file
    from elastic.makes import is_gated
    from elastic.metadata import verify_level
    from elastic.planned import load_plan
    from elastic.weights import read_weights

    exporting.check_format(to)
    header, preprocessing = open_file(file)
    same = None if against is None else proofs.prove_equal(checkpoint.load_state(file), read_weights(against))
    planned = load_plan(file)
    example, whole = preprocessing.example(), load_level(file, header, None, model)
    rows: list[dict[str, Any]] = []
    for number, level in enumerate(header.levels):
        note(f"verifying {level.name}")
        verify_level(file, number)
        row: dict[str, Any] = {"level": level.name, "digest": level.digest}
        if number < len(header.levels) - 1:
            row["masked_equals_cut"] = proofs.prove_cut(whole, planned.plan, planned.levels, number, example)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"level{exporting.SUFFIXES[to]}"
            network = load_level(file, header, number, model)
            if to in exporting.GATED_STATES or not is_gated(network):
                row["export_error"] = exporting.export(network, example, path, to).error  # type: ignore[arg-type]
        rows.append(row)
    result = {"file": str(file), "levels": rows, "equal_to_original": same}

    def render() -> None:
        table(
            ["level", "SHA-256", "masked = cut", f"{to} = torch"],
            [
                [
                    row["level"],
                    row["digest"][:16],
                    f"{row['masked_equals_cut']:.0e}" if "masked_equals_cut" in row else "",
                    f"{row['export_error']:.0e}" if "export_error" in row else "gated",
                ]
                for row in rows
            ],
        )
        if same is not None:
            say(f"regrow = original: {same} tensors, bit for bit {against}")
        say("every proof holds")

    show(result, json, render)
