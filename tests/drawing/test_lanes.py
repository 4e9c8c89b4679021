from hypothesis import given
from hypothesis import strategies as st

from elastic.drawing.lanes import lanes_of


@st.composite
def graphs(draw):
    """The inputs of up to twenty rows, each of any rows before it."""
    size = draw(st.integers(1, 20))
    return [sorted(draw(st.sets(st.integers(0, row - 1), max_size=4))) if row else [] for row in range(size)]


@given(graphs())
def test_every_edge_that_passes_over_a_row_is_in_a_lane(inputs):
    edges = {(source, row) for row, sources in enumerate(inputs) for source in sources if source != row - 1}
    assert {(lane.source, target) for lane in lanes_of(inputs) for target in lane.targets} == edges


@given(graphs())
def test_lanes_of_one_number_do_not_overlap(inputs):
    taken: set[tuple[int, int]] = set()
    for lane in lanes_of(inputs):
        places = {(lane.number, row) for row in range(lane.source, lane.targets[-1])}
        assert not taken & places
        taken |= places


def test_a_short_edge_runs_inside_a_long_one():
    outer, inner = lanes_of([[], [0], [1], [2, 1], [3, 0]])
    assert (outer.source, outer.number, inner.source, inner.number) == (0, 1, 1, 0)


def test_all_edges_of_one_row_share_a_lane():
    (lane,) = lanes_of([[], [0], [0, 1], [0, 2]])
    assert (lane.source, lane.targets, lane.number) == (0, (2, 3), 0)
