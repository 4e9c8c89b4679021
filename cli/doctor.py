"""`elastic doctor`: what of a model can be pruned, what is frozen and why."""

from collections import Counter
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.printing import count, say, show, size, table


def doctor(
    model: options.Model,
    freeze: Annotated[
        list[str] | None, typer.Option(help="Name pattern of layers that keep their width; repeatable.")
    ] = None,
    num_classes: options.NumClasses = None,
    input_size: options.Size = None,
    every: Annotated[bool, typer.Option("--all", help="List every group and every frozen axis.")] = False,
    json: options.Json = False,
) -> None:
    """Show the groups of channels that can leave, what is frozen and why, and the least that can be reached.

    Example: elastic doctor torchvision/resnet50
    """
    from elastic.allocation import least_cost
    from elastic.cli.networks import open_model
    from elastic.costs import CostModel
    from elastic.tracing import trace

    opened = open_model(model, None, num_classes=num_classes, size=input_size)
    plan = trace(opened.model, opened.example, freeze=freeze or [])
    dense, least = CostModel(plan).dense, least_cost(plan)
    groups: list[dict[str, Any]] = [
        {
            "group": group.name,
            "units": len(group.units),
            "channels": len(group.units) * group.positions_per_unit,
            "layers": len({name.rpartition(".")[0] for name, _ in group.axes}),
        }
        for group in plan.groups
    ]
    frozen = [{"tensor": f.tensor, "axis": f.axis, "positions": f.positions, "reason": f.reason} for f in plan.frozen]
    result = {
        "model": model, "units": plan.units, "groups": groups, "frozen": frozen,
        "dense": {"params": dense.params, "macs": dense.macs, "bytes": dense.bytes},
        "least": {"params": least.params, "macs": least.macs, "bytes": least.bytes},
    }  # fmt: skip

    def render() -> None:
        say(f"{model}: {plan.units:,} units in {len(groups)} groups")
        costs = (("dense", dense), ("least", least))
        table(["", "params", "MACs", "size"], [[n, count(c.params), count(c.macs), size(c.bytes)] for n, c in costs])
        shown = groups if every else sorted(groups, key=lambda group: -int(group["channels"]))[:12]
        say(f"\ngroups that leave together{'' if every else f' (the {len(shown)} widest; --all lists {len(groups)})'}")
        table(["group", "units", "channels", "layers"], [[str(value) for value in group.values()] for group in shown])
        say("\nfrozen")
        if every:
            table(["tensor", "axis", "positions", "because"], [[str(value) for value in f.values()] for f in frozen])
        else:
            reasons = Counter(f.reason for f in plan.frozen)
            first = {f.reason: f.tensor for f in reversed(plan.frozen)}
            table(["because", "axes", "first"], [[why, str(n), first[why]] for why, n in reasons.most_common()])

    show(result, json, render)
