"""When a recovery is left early."""

import pytest

from elastic.attending import Leaving


@pytest.mark.parametrize(
    ("back_to", "top1", "is_back"),
    [("best", 94.5, True), ("best", 94.4, False), ("before", 89.5, True), ("before", 89.4, False)],
)
def test_accuracy_is_back_within_the_tolerance(back_to, top1, is_back):
    assert Leaving(back_to, 0.5, best=95.0, before=90.0).is_back(top1) is is_back


def test_the_best_moves_up_only():
    leaving = Leaving("best", 1.0, best=90.0, before=90.0)
    leaving.go_on(92.0)
    leaving.go_on(80.0)
    assert leaving.wanted == 91.0


def test_what_was_before_the_round_moves_both_ways():
    leaving = Leaving("before", 1.0, best=90.0, before=90.0)
    leaving.go_on(92.0)
    assert leaving.wanted == 91.0
    leaving.go_on(80.0)
    assert leaving.wanted == 79.0
