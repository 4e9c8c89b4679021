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
    levels: list[dict[str, Any]] = [
        {
            "name": level.name,
            "make": make_of(header, number),
            "params": level.params,
            "macs": level.macs,
            "bytes": level.bytes,
            "digest": level.digest,
            "metrics": dict(level.metrics),
        }
        for number, level in enumerate(header.levels)
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
        makes = ["make"] if any(level["make"] != "floats" for level in levels) else []
        rows = [
            [
                level["name"],
                *(level[make] for make in makes),
                count(level["params"]),
                count(level["macs"]),
                size_text(level["bytes"]),
            ]
            + [f"{level['metrics'][m]:.2f}" if m in level["metrics"] else "" for m in measured]
            for level in levels
        ]
        table(["level", *makes, "params", "MACs", "size", *measured], rows)
        say(
            "made with: "
            + ", ".join(plain(f"{key}={value}") for key, value in header.recipe.items() if key not in KEYS)
        )

    show(result, json, render)
