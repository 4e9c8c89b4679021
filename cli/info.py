"""`elastic info`: what a file holds; reads its header only."""

from typing import Any

from elastic.cli import options
from elastic.cli.printing import count, plain, say, show, table
from elastic.sizes import size_text


def info(file: options.File, json: options.Json = False) -> None:
    """Show the levels of an elastic file, and what made it.

    Example: elastic info net.safetensors
    """
    from elastic.metadata import read_header
    from elastic.told import KEYS, make_of

    header = read_header(file)
    makes = [make_of(header, number) for number in range(len(header.levels))]
    tells_makes = any(make != "floats" for make in makes)  # of a file of floats there is nothing to tell
    levels: list[dict[str, Any]] = [
        {
            "name": level.name,
            **({"make": make} if tells_makes else {}),
            "params": level.params,
            "macs": level.macs,
            "bytes": level.bytes,
            "digest": level.digest,
            "metrics": dict(level.metrics),
        }
        for level, make in zip(header.levels, makes, strict=True)
    ]
    result = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "contract": header.contract,
        "model": dict(header.model),
        "input": dict(header.input),
        "recipe": dict(header.recipe),
        "levels": levels,
    }

    def render() -> None:
        measured = sorted({name for level in levels for name in level["metrics"]})
        name = plain(header.model.get("name") or "a network of the user's own")
        say(f"{file}: {name}, contract {header.contract}, {size_text(file.stat().st_size)}")
        told = ["make"] if tells_makes else []
        rows = [
            [
                level["name"],
                *(level[make] for make in told),
                count(level["params"]),
                count(level["macs"]),
                size_text(level["bytes"]),
            ]
            + [f"{level['metrics'][m]:.2f}" if m in level["metrics"] else "" for m in measured]
            for level in levels
        ]
        table(["level", *told, "params", "MACs", "size", *measured], rows)
        say(
            "made with: "
            + ", ".join(plain(f"{key}={value}") for key, value in header.recipe.items() if key not in KEYS)
        )

    show(result, json, render)
