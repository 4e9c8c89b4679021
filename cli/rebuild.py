"""`elastic rebuild`: put removed channels back, and prove that they are what was there."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli import options
from elastic.cli.printing import say, show
from elastic.sizes import size_text

PROMISES = {
    "exact": "the largest level is the original that was pruned, bit for bit",
    "nested": "levels were trained one around the other; each is as it was when it was trained, none is the original",
    "joint": "all levels were trained at once on shared weights; none is the original",
}


def rebuild(
    file: options.File,
    output: options.Output,
    level: options.Level = None,
    core: Annotated[
        str | None,
        typer.Option(help="A smaller level to put inside as it is now, tuned say: a start for training, not an undo."),
    ] = None,
    against: Annotated[Path | None, typer.Option(help="The original weights, to compare with bit for bit.")] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Rebuild a level from an elastic file as a plain state dict, by default the whole network.

    Example: elastic rebuild net.safetensors -o whole.safetensors --against resnet56.safetensors
    """
    from elastic.checkpoint import load_around
    from elastic.cli.networks import check_output, level_number
    from elastic.data import Preprocessing
    from elastic.errors import UnknownName
    from elastic.metadata import read_header, read_level, verify_level, write_plain
    from elastic.proofs import prove_equal, same_bits
    from elastic.tensors import restored, stored
    from elastic.weights import read_weights

    if core is not None and against is not None:
        raise UnknownName("--against proves that a level is the original, and --core puts another inside; give one")
    check_output(output, overwrite)
    check_output(output.with_suffix(".json"), overwrite, ".json")
    header = read_header(file)
    preprocessing = Preprocessing.from_dict(header.input, where=str(file)) if header.input else None
    number = level_number(header, level)
    verify_level(file, number)
    tensors, inside, moved = read_level(file, number), None, 0
    if core is not None:
        inside = level_number(header, core)
        verify_level(file, inside)
        around = load_around(file, inside, number)
        moved = sum(not same_bits(tensor, restored(tensors[name])) for name, tensor in around.items())
        tensors = {name: stored(tensor) for name, tensor in around.items()}
    same = None
    if against is not None:
        same = prove_equal({name: restored(tensor) for name, tensor in tensors.items()}, read_weights(against))
    write_plain(output, tensors, overwrite=overwrite)
    beside = None if preprocessing is None else preprocessing.write_beside(output, overwrite=overwrite)
    result = {
        "output": str(output),
        "level": header.levels[number].name,
        "core": None if inside is None else header.levels[inside].name,
        "tensors": len(tensors),
        "tensors_that_differ_from_the_level": moved,
        "bytes": output.stat().st_size,
        "digest": None if moved else header.levels[number].digest,
        "equal_to_original": same,
        "contract": header.contract,
    }

    def render() -> None:
        say(f"{output}: level {result['level']}, {len(tensors)} tensors, {size_text(output.stat().st_size)}")
        say(f"contract {header.contract}: {PROMISES[header.contract]}")
        if beside is not None:
            say(f"{beside}: what its input looks like; `elastic eval --weights` reads it")
        if moved:
            say(f"a start for training, not an undo: {result['core']} is inside as it is, so {moved} tensors differ")
        else:
            say(f"SHA-256 of the level: {header.levels[number].digest} (as when it was saved)")
        if same is not None:
            say(f"bit for bit the original: {same} tensors of {against}")

    show(result, json, render)
