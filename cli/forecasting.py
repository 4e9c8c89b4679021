"""Forecasting: what a latency table says can be reached, before anything takes long, and then what the clock shows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.cli.printing import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elastic.cli.networks import Opened
    from elastic.latency import Table
    from elastic.latency.holding import Held


def open_table(path: Path, opened: "Opened", bounds: dict[str, Any], engine: str, levels: int) -> "Table":
    """Return a table of this device, and tell what can be reached with it, and how long so many levels are timed."""
    import numpy as np

    from elastic.allocation import least_cost
    from elastic.latency import read_table
    from elastic.latency.levels import CUTS, forecast
    from elastic.tracing import trace

    table = read_table(path)
    freeze = bounds.get("freeze", ())
    room = {name: value for name, value in bounds.items() if name != "freeze"}
    plan = trace(opened.model, opened.example, freeze=freeze, engine=engine)
    whole = 1e3 * float(table.predict(np.ones(plan.units, bool), plan))
    least = least_cost(plan, **room, latency_table=table)["latency"] / 1e6
    header = table.header
    note(
        f"{header.runtime}, {header.threads} threads, batch {header.shape[0]}: whole {whole:.3g} ms, least reachable "
        f"{least:.3g} ms ({least / whole:.1%}), as the table predicts; each cut is timed for about "
        f"{forecast(1e-3 * whole, levels):.0f} s, twice where it holds, {CUTS} of them at most"
    )
    return table


def tell_times(held: "Sequence[Held | None]") -> None:
    """Tell what was measured of each level with a target of time."""
    for each in filter(None, held):
        note(f"{each.target}: {1e3 * each.seconds:.3g} ms, {each.seconds / each.whole:.1%} of the whole network's time")
