"""The words of a picture: the columns beside each row, what it says at its head and foot, what a pointer shows."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from elastic.diagnosing import Obstacle, Tie
from elastic.drawing.rows import PRODUCTS, Row
from elastic.plan import Axis, Plan

HEADS = ("layer", "channels", "", "output", "group")


def columns_of(rows: Sequence[Row], numbers: Mapping[Axis, int]) -> list[tuple[str, ...]]:
    """Return the words of each row, under HEADS; `numbers` are those of the obstacles on frozen axes."""
    found: list[tuple[str, ...]] = []
    seen: set[str] = set()
    size = ""
    for row in rows:
        again = row.kind in PRODUCTS and row.module in seen
        seen.add(row.module)
        channels = "" if row.width is None else str(row.width)
        if row.kind in PRODUCTS:
            channels = f"{'?' if row.width_in is None else row.width_in} → {channels}"
        shown = row.size if row.size != size else ""
        size = row.size or size
        found.append(
            (label_of(row) + (" (again)" if again else ""), channels, row.detail, shown, leaves_with(row, numbers))
        )
    return found


def label_of(row: Row) -> str:
    """Return what a row is called: a layer's module, what joins after the module that it is in."""
    return row.module if row.kind in PRODUCTS else f"{row.module} {row.kind}".strip()


def leaves_with(row: Row, numbers: Mapping[Axis, int]) -> str:
    """Return the groups of a row's channels and why others are frozen; nothing for what only joins."""
    if row.kind not in PRODUCTS:
        return ""
    groups = ", ".join(str(number + 1) for number in row.groups[:3]) + (", ..." if len(row.groups) > 3 else "")
    said = [groups] if groups else []
    if row.is_frozen:
        why = obstacle_of(row, numbers)
        said.append("frozen" if why is None else f"frozen ({why + 1})")
    return ", ".join(said)


def obstacle_of(row: Row, numbers: Mapping[Axis, int]) -> int | None:
    """Return the number of what holds a row's own channels."""
    own = sorted((axis, name) for (name, axis), size in row.sizes.items() if size == row.width)
    return next((numbers[name, axis] for axis, name in own if (name, axis) in numbers), None)


def summary(plan: Plan, ties: Sequence[Tie], rows: Sequence[Row]) -> str:
    """Return what the picture shows in one sentence."""
    layers = [row for row in rows if row.kind in PRODUCTS]
    tied = sum(len(tie.makers or ()) > 1 for tie in ties)
    frozen = sum(row.is_frozen for row in layers)
    return (
        f"{len(layers)} layers, {frozen} of them frozen; "
        f"{plan.units:,} units in {len(ties)} groups, {tied} of them across several layers"
    )


def notes(obstacles: Sequence[Obstacle], characters: int) -> list[tuple[str, str, bool]]:
    """Return the lines at the foot: the number of what is frozen or nothing, its reason or advice, and which it is."""
    found: list[tuple[str, str, bool]] = []
    for number, each in enumerate(obstacles):
        where = f" ({each.line})" if each.line else ""
        reason = wrap(f"{each.reason}{where}", characters)
        found += [("" if place else f"({number + 1})", line, False) for place, line in enumerate(reason)]
        found += [("", line, True) for line in wrap(each.advice, characters)]
    return found


def tooltip(row: Row, ties: Sequence[Tie], obstacles: Sequence[Obstacle], numbers: Mapping[Axis, int]) -> str:
    """Return what a pointer shows over a row."""
    said = [label_of(row)]
    for group in row.groups[:8]:
        tie = ties[group]
        others = [maker for maker in tie.makers or () if maker != row.module]
        with_ = f", with {', '.join(others)}" if others else ""
        said.append(f"group {tie.number} ({tie.group.name}): {len(tie.group.units):,} units{with_}")
    if row.is_frozen:
        why = obstacle_of(row, numbers)
        said.append("frozen" if why is None else f"frozen: {obstacles[why].reason}")
    return "\n".join(said)
