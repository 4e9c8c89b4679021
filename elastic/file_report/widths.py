"""Widths: how many channels each layer has at each level, and what never leaves."""

from collections.abc import Iterator

from elastic.diagnosing import Obstacle, obstacles
from elastic.metadata import Header
from elastic.plan import Plan
from elastic.planned import Planned
from elastic.reporting import HeatMap, Part, Section, Table
from elastic.roles import made_axes

WIDTHS = (
    "Layers that make channels of which some can leave, in forward order; others have the same width at each level."
)
FROZEN = (
    "Positions along axes of tensors that every level keeps, and why. The ends of the network stay because its input "
    "and output do; the rest may be freed by a change in its code. Parameters lie on such positions; one may be held "
    "twice."
)
MOST_MODULES = 3  # that are named


def widths_section(header: Header, planned: Planned) -> Section:
    """Return the widths of each layer."""
    return Section("Widths", WIDTHS, tuple(_widths(header, planned)))


def frozen_section(plan: Plan) -> Section:
    """Return what holds the channels that never leave."""
    heads = ("because", "where", "positions", "params", "what would free them")
    rows = tuple(
        (each.reason, _place(each), each.positions, each.params, "" if each.is_natural else each.advice)
        for each in obstacles(plan)
    )
    return Section("Frozen", FROZEN, (Table("frozen", "What never leaves", heads, rows),))


def _widths(header: Header, planned: Planned) -> Iterator[Part]:
    positions = planned.plan.position_levels(planned.levels)
    names = tuple(level.name for level in header.levels)
    found = {
        weight.rpartition(".")[0] or weight: [int((of[axis] <= number).sum()) for number in range(len(names))]
        for weight, axis in made_axes(planned.plan).items()
        for of in (positions[weight],)
    }
    if not found:
        return
    shares = tuple(tuple(100 * width / widths[-1] for width in widths) for widths in found.values())
    yield HeatMap(
        "kept", "Channels that each level keeps", "level", "layer", "kept, %", names, tuple(found), shares,
    )  # fmt: skip
    rows: tuple[tuple[str | int, ...], ...] = tuple((layer, *widths) for layer, widths in found.items())
    yield Table("widths", "Channels of each layer", ("layer", *names), rows)


def _place(obstacle: Obstacle) -> str:
    modules = obstacle.modules or tuple(dict.fromkeys(name.rpartition(".")[0] for name, _ in obstacle.axes))
    named = ", ".join(modules[:MOST_MODULES])
    more = f" and {len(modules) - MOST_MODULES:,} more" if len(modules) > MOST_MODULES else ""
    return f"{named}{more}" + (f" ({obstacle.line})" if obstacle.line else "")
