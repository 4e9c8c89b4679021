"""Ordering: positions of every axis so that levels are prefixes, wherever the network's wiring lets them be.

Units of a group can be swapped with each other without changing what the network computes. So those of a group are
put in the order of their levels, wherever they are: an axis that only one group is on then has each level as a prefix.
An axis on which several groups follow each other (a concatenation, packed queries, keys and values) has not.
"""

from collections.abc import Mapping

import numpy as np

from elastic.plan import NEVER, IntArray, LevelArray

Axes = Mapping[str, Mapping[int, IntArray]]
Orders = dict[str, dict[int, IntArray]]


def storage_order(levels: Mapping[str, Mapping[int, LevelArray]], units: Axes) -> Orders:
    """Return for each elastic axis which original position lies at each place of the storage.

    `levels` and `units` are of every position of every elastic axis. Where there are no units all stays in its order.
    """
    number_of = 1 + max((int(a.max()) for axes in units.values() for a in axes.values()), default=NEVER)
    level_of_unit = np.zeros(number_of, np.uint8)
    homes = np.zeros(number_of + 1, np.uint64)  # a sum of random bits for each set of axes
    random = np.random.default_rng(0)
    for name, axes in units.items():
        for axis, labels in axes.items():
            level_of_unit[labels[labels != NEVER]] = levels[name][axis][labels != NEVER]
            # Once for each place: units of a group have as many places as each other, or can't be swapped.
            np.add.at(homes, labels, random.integers(1 << 63, size=1, dtype=np.uint64))
    stands_in = _stand_ins(homes[:-1], level_of_unit)
    return {
        name: {
            axis: _order(units[name][axis], stands_in) if name in units and axis in units[name] else np.arange(len(own))
            for axis, own in axes.items()
        }
        for name, axes in levels.items()
    }


def _stand_ins(homes: np.ndarray, level_of_unit: LevelArray) -> IntArray:
    """Return for each unit which one takes its place: in its group the k-th by level that of the k-th by number."""
    stands_in = np.arange(len(homes))
    by_number = np.lexsort((np.arange(len(homes)), homes))
    by_level = np.lexsort((np.arange(len(homes)), level_of_unit, homes))
    stands_in[by_number] = by_level
    return stands_in


def _order(labels: IntArray, stands_in: IntArray) -> IntArray:
    """Return for each place of an axis the position of the stand-in's part that is there."""
    order = np.arange(len(labels))
    places = np.flatnonzero(labels != NEVER)
    own = labels[places]
    # The j-th place of a unit gets the j-th position of its stand-in; sorted by unit, both run alike.
    source = places[np.lexsort((places, own))]
    first = np.searchsorted(np.sort(own), np.arange(len(stands_in)))
    nth = np.arange(len(places)) - first[np.sort(own)]
    order[source] = source[first[stands_in[np.sort(own)]] + nth]
    return order
