"""`elastic doctor`: what of a model can be pruned, what is frozen, why, and what would free it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.printing import count, say, show, table
from elastic.sizes import size_text

if TYPE_CHECKING:
    from elastic.costs import Cost
    from elastic.diagnosing import Obstacle, Tie

SHOWN = 12  # groups, where not all are asked for


def doctor(
    model: options.Model,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the network into this .svg: widths, what leaves together, what is frozen.")
    ] = None,
    freeze: options.Freeze = None,
    engine: options.Engine = "elastic",
    num_classes: options.NumClasses = None,
    input_size: options.Size = None,
    every: Annotated[bool, typer.Option("--all", help="List every group and every frozen axis.")] = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Show the groups of channels that can leave, what is frozen, why and what would free it, and the least size.

    Example: elastic doctor torchvision/resnet50 --picture resnet50.svg
    """
    from elastic.allocation import least_cost
    from elastic.cli.networks import check_output, open_model
    from elastic.costs import CostModel
    from elastic.diagnosing import obstacles, ties
    from elastic.drawing import draw
    from elastic.errors import NothingToPrune
    from elastic.tracing import trace

    if picture is not None:
        check_output(picture, overwrite, ".svg")
    opened = open_model(model, None, num_classes=num_classes, size=input_size)
    try:
        plan = trace(opened.model, opened.example, freeze=freeze or [], engine=engine)
    except NothingToPrune as refusal:  # what holds it is what a doctor is asked for
        plan = refusal.plan
    if picture is not None:
        draw(plan, picture, title=model, overwrite=overwrite)
    dense, least = CostModel(plan).dense, least_cost(plan)
    groups, held = ties(plan), obstacles(plan)
    attributes = [f"{module}.{name}".lstrip(".") for module, name in plan.attributes]
    frozen = [{"tensor": f.tensor, "axis": f.axis, "positions": f.positions, "reason": f.reason} for f in plan.frozen]
    result = {
        "model": model,
        "engine": engine,
        "units": plan.units,
        "groups": [_group(tie) for tie in groups],
        "obstacles": [_obstacle(each) for each in held],
        "frozen": frozen,
        "attributes": attributes,
        "dense": _cost(dense),
        "least": _cost(least),
        "picture": None if picture is None else str(picture),
    }

    def render() -> None:
        say(f"{model}: {plan.units:,} units in {len(groups)} groups")
        costs = (("dense", dense), ("least", least))
        rows = [[name, count(c.params), count(c.macs), size_text(c.bytes), _memory(c)] for name, c in costs]
        table(["", "params", "MACs", "size", "memory"], rows)
        if groups:
            _render_groups(groups, dense.params, every)
        if attributes:
            say(f"\nnumbers that modules keep of these widths, which a cut sets: {_some(attributes, every, most=4)}")
        _render_frozen(held, every)
        if every:
            say("\nevery frozen axis")
            rows = [[f.tensor, str(f.axis), str(f.positions), f.reason] for f in plan.frozen]
            table(["tensor", "axis", "positions", "because"], rows, left=(0, 3))
        if picture is not None:
            say(f"\n{picture}: the network in forward order")

    show(result, json, render)


def _cost(cost: "Cost") -> dict[str, Any]:
    return {"params": cost.params, "macs": cost.macs, "bytes": cost.bytes, "peak_bytes": cost.peak_bytes}


def _memory(cost: "Cost") -> str:
    return "" if cost.peak_bytes is None else size_text(cost.peak_bytes)


def _group(tie: "Tie") -> dict[str, Any]:
    return {
        "number": tie.number,
        "group": tie.group.name,
        "units": len(tie.group.units),
        "channels": tie.channels,
        "layers": _layers(tie),
        "params": tie.params,
        "made_by": None if tie.makers is None else list(tie.makers),
        "used_by": None if tie.users is None else list(tie.users),
    }


def _obstacle(obstacle: "Obstacle") -> dict[str, Any]:
    return {
        "reason": obstacle.reason,
        "line": obstacle.line,
        "modules": list(obstacle.modules),
        "axes": [list(home) for home in obstacle.axes],
        "positions": obstacle.positions,
        "params": obstacle.params,
        "natural": obstacle.is_natural,
        "advice": obstacle.advice,
    }


def _render_groups(ties: Sequence["Tie"], params: int, every: bool) -> None:
    """Print the groups, the widest where there are many; where the pass isn't recorded, without who makes and uses."""
    chosen = ties if every else sorted(ties, key=lambda tie: -tie.channels)[:SHOWN]
    which = "" if len(chosen) == len(ties) else f" (the {len(chosen)} widest; --all lists {len(ties)})"
    say(f"\ngroups that leave together{which}")
    rows = [_row(tie, params, every) for tie in chosen]
    is_recorded = all(tie.makers is not None for tie in ties)
    heads = ["made by", "used by", "tied to"] if is_recorded else ["layers"]
    table(["group", "number", "units", "channels", "of params", *heads], rows, left=(0, 7))


def _row(tie: "Tie", params: int, every: bool) -> list[str]:
    row = [tie.group.name, str(tie.number), str(len(tie.group.units)), str(tie.channels), f"{tie.params / params:.1%}"]
    if tie.makers is None or tie.users is None:
        return [*row, str(_layers(tie))]
    others = [name for name in tie.makers if name != tie.group.name]
    return [*row, str(len(tie.makers)), str(len(tie.users)), _some(others, every, most=2)]


def _layers(tie: "Tie") -> int:
    return len({name.rpartition(".")[0] for name, _ in tie.group.axes})


def _render_frozen(obstacles: Sequence["Obstacle"], every: bool) -> None:
    """Print what is frozen for each reason, then what would free it."""
    say("\nfrozen")
    rows = []
    for number, each in enumerate(obstacles):
        (tensor, axis), where = each.axes[0], f" ({each.line})" if each.line else ""
        row = [f"({number + 1})", str(len(each.axes)), str(each.positions), count(each.params), f"{tensor} {axis}"]
        rows.append([*row, f"{each.reason}{where}"])
    table(["", "axes", "positions", "params", "first axis", "because"], rows, left=(0, 4, 5))
    helped = [(number, each) for number, each in enumerate(obstacles) if each.advice and not each.is_natural]
    if helped:
        say("\nwhat would have to change to free it")
    for number, each in helped:
        say(f"({number + 1}) {each.advice}")
        if each.modules:
            say(f"    in {_some(each.modules, every, most=3)}")


def _some(names: Sequence[str], every: bool, *, most: int) -> str:
    shown = names if every else names[:most]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
