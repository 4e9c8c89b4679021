"""Which units to remove from a network to try its labels."""

from collections.abc import Iterator, Sequence

import numpy as np

from elastic.plan import Axis, Group, LevelArray, Plan

FEW = 16


def uneven_removals(plan: Plan, groups: Sequence[Group], *, times: int = 2) -> Iterator[LevelArray]:
    """Yield levels by which every group loses units, more of one group than of the next on an axis.

    A forward that halves whatever width it finds goes wrong only when the halves lose unequally, and two widths that
    should differ may agree by chance: so ratios are drawn, `times` times. Of a few units,
    many choices are right by luck, so those groups lose just one the second time.
    """
    divisible = [group for group in groups if len(group.units) > 1]
    yield _uneven(plan, divisible, 0)
    if times < 2 and all(len(group.units) >= FEW for group in divisible):
        return
    second = _uneven(plan, divisible, 1)
    for number, group in enumerate(divisible):
        if len(group.units) < FEW:
            second[group.units] = 0
            second[np.random.default_rng(number).choice(group.units)] = 1
    yield second


def _uneven(plan: Plan, groups: Sequence[Group], seed: int) -> LevelArray:
    generator = np.random.default_rng(seed)
    on_axis: dict[Axis, int] = {}
    levels = np.zeros(plan.units, np.uint8)
    for number, group in enumerate(groups):
        place = on_axis[group.axes[0]] = on_axis.get(group.axes[0], -1) + 1
        ratio = generator.uniform(0.2, 0.45) if (place + seed) % 2 else generator.uniform(0.55, 0.8)
        levels |= some_removed(plan, [group], max(ratio, 1 / len(group.units)), number, keep=2)
    return levels


def some_removed(
    plan: Plan, groups: Sequence[Group], ratio: float = 0.5, seed: int = 0, *, keep: int = 1
) -> LevelArray:
    """Return levels that keep a random part of each group's units in level 0; the others return in 1.

    At least `keep` stay, of a group that has more.
    """
    generator = np.random.default_rng(seed)
    levels = np.zeros(plan.units, np.uint8)
    for group in groups:
        size = len(group.units)
        count = min(size - min(keep, size - 1), int(size * ratio)) if size > 1 else 0
        levels[generator.permutation(group.units)[:count]] = 1
    return levels
