"""`elastic verify`: the proofs, on a file, here and now."""

from functools import partial
from pathlib import Path
from typing import Annotated

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
    from elastic.verifying import verify_levels
    from elastic.weights import read_weights

    exporting.check_format(to)
    header, preprocessing = open_file(file)
    same = None if against is None else proofs.prove_equal(checkpoint.load_state(file), read_weights(against))
    network = partial(load_level, file, header, own_model=model)
    proven = verify_levels(file, preprocessing.example(), to=to, network=network, told=note)  # type: ignore[arg-type]
    rows = [{name: found for name, found in vars(each).items() if found is not None} for each in proven]
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
