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

    header = read_header(file)
    levels: list[dict[str, Any]] = [
        {
            "name": level.name,
            "params": level.params,
            "macs": level.macs,
            "bytes": level.bytes,
            "digest": level.digest,
            "metrics": dict(level.metrics),
        }
        for level in header.levels
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
        rows = [
            [level["name"], count(level["params"]), count(level["macs"]), size_text(level["bytes"])]
            + [f"{level['metrics'][m]:.2f}" if m in level["metrics"] else "" for m in measured]
            for level in levels
        ]
        table(["level", "params", "MACs", "size", *measured], rows)
        say("made with: " + ", ".join(plain(f"{key}={value}") for key, value in header.recipe.items()))

    show(result, json, render)
