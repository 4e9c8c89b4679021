import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.metadata import blocks, core_target, kept, put, take


@st.composite
def arrays_and_axes(draw: st.DrawFn) -> tuple[np.ndarray, dict[int, np.ndarray], int]:
    """An array of distinct numbers, the levels of some of its axes, and the number of levels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    elastic = draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    levels = draw(st.integers(1, 4))
    axes = {axis: rng.integers(0, levels, shape[axis]).astype(np.uint8) for axis in elastic}
    return np.arange(np.prod(shape, dtype=np.int64)).reshape(shape), axes, levels


def age_of_each_element(shape: tuple[int, ...], axes: dict[int, np.ndarray]) -> np.ndarray:
    age = np.zeros(shape, np.uint8)
    for axis, levels in axes.items():
        age = np.maximum(age, levels.reshape([-1 if axis == each else 1 for each in range(len(shape))]))
    return age


@given(drawn=arrays_and_axes())
def test_blocks_hold_each_element_once_at_its_own_level(drawn: tuple[np.ndarray, dict[int, np.ndarray], int]) -> None:
    array, axes, levels = drawn
    age = age_of_each_element(array.shape, axes)
    for level in range(1, levels):
        found = [take(array, block.source).ravel() for block in blocks(axes, level)]
        assert sorted(np.concatenate([*found, []])) == sorted(array[age == level])


@given(drawn=arrays_and_axes())
def test_a_core_and_its_blocks_make_the_next_level(drawn: tuple[np.ndarray, dict[int, np.ndarray], int]) -> None:
    array, axes, levels = drawn
    grown = take(array, {axis: kept(each, 0) for axis, each in axes.items()})
    for level in range(1, levels):
        whole = take(array, {axis: kept(each, level) for axis, each in axes.items()})
        out = np.full_like(whole, -1)
        put(out, core_target(axes, level), grown)
        for block in blocks(axes, level):
            put(out, block.target, take(array, block.source))
        assert np.array_equal(out, whole)
        grown = out


@given(drawn=arrays_and_axes())
def test_blocks_are_numbered_by_their_elastic_axis(drawn: tuple[np.ndarray, dict[int, np.ndarray], int]) -> None:
    _, axes, levels = drawn
    ordered = sorted(axes)
    for level in range(1, levels):
        for block in blocks(axes, level):
            ages = [axes[axis][block.source[axis]] for axis in ordered]
            assert all((each < level).all() for each in ages[: block.number])
            assert (ages[block.number] == level).all()
            assert all((each <= level).all() for each in ages[block.number + 1 :])


@pytest.mark.parametrize("axes", [{0: [0, 0]}, {0: [0, 1], 1: []}, {}], ids=["nothing new", "an empty axis", "no axis"])
def test_blocks_without_positions_are_left_out(axes: dict[int, list[int]]) -> None:
    assert blocks({axis: np.array(each, np.uint8) for axis, each in axes.items()}, 1) == []


def test_taking_everything_copies_nothing() -> None:
    array = np.arange(6).reshape(2, 3)
    assert take(array, {0: np.arange(2), 1: np.arange(3)}) is array


def test_axes_that_are_not_side_by_side_stay_in_place() -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    out, positions = np.zeros_like(array), {0: np.array([1]), 2: np.array([0, 3])}
    put(out, positions, take(array, positions))
    assert np.array_equal(out[1][:, [0, 3]], array[1][:, [0, 3]])
    assert np.count_nonzero(out) == 6
