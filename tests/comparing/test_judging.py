"""Judging: the textbook's numbers where it has them, and as many false findings as are promised, or fewer."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from elastic.comparing.judging import Difference, difference, holm, judge
from elastic.comparing.records import Measured

OURS, THEIRS = [90.1, 89.7, 90.6, 90.0], [89.0, 89.1, 89.2, 89.6]


def accuracies(values):
    return [Measured.of(value) for value in values]


def hits(generator, shares, images):
    """Return one test for each seed, images hit with the same luck by both networks: draws are shared."""
    luck = generator.random(images)
    return [Measured.of(luck < share) for share in shares]


def test_without_test_images_the_interval_is_that_of_a_paired_t_test():
    found = difference(accuracies(OURS), accuracies(THEIRS))
    expected = stats.ttest_rel(OURS, THEIRS)
    low, high = expected.confidence_interval(0.95)
    assert found.mean == pytest.approx(statistics.mean(OURS) - statistics.mean(THEIRS))
    assert (found.mean - found.half_width(), found.mean + found.half_width()) == pytest.approx((low, high))
    assert found.p == pytest.approx(expected.pvalue)


def test_without_spread_over_seeds_the_interval_is_that_of_a_paired_t_test_over_images():
    generator = np.random.default_rng(0)
    one, other = generator.random(500) < 0.9, generator.random(500) < 0.85
    found = difference([Measured.of(one)] * 3, [Measured.of(other)] * 3)
    expected = stats.ttest_rel(100.0 * one, 100.0 * other)
    assert found.seeds_error == 0
    assert found.half_width() == pytest.approx(expected.confidence_interval(0.95).high - found.mean)
    assert found.p == pytest.approx(expected.pvalue)


def test_both_errors_are_what_a_plain_loop_makes_of_them():
    ours, theirs = [[1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 1]], [[0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 1, 0]]
    found = difference(
        [Measured.of(np.array(each, bool)) for each in ours], [Measured.of(np.array(each, bool)) for each in theirs]
    )
    by_seed = [25.0 * (sum(one) - sum(other)) for one, other in zip(ours, theirs, strict=True)]
    by_image = [100 / 3 * sum(ours[s][i] - theirs[s][i] for s in range(3)) for i in range(4)]
    assert found.mean == pytest.approx(statistics.mean(by_seed))
    assert found.seeds_error == pytest.approx(statistics.stdev(by_seed) / math.sqrt(3))
    assert found.images_error == pytest.approx(statistics.stdev(by_image) / math.sqrt(4))
    assert found.half_width() == pytest.approx(
        math.sqrt((stats.t.ppf(0.975, 2) * found.seeds_error) ** 2 + (stats.t.ppf(0.975, 3) * found.images_error) ** 2)
    )


@pytest.mark.parametrize("level", [0.05, 0.001])
def test_p_is_the_level_at_which_the_interval_reaches_zero(level):
    known = Difference(0.0, 3, 0.4, 10_000, 0.3)
    assert Difference(known.half_width(level), 3, 0.4, 10_000, 0.3).p == pytest.approx(level)


def test_levels_are_corrected_as_holm_says():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_levels_stay_at_most_one():
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_no_differences_give_no_judgements():
    assert judge([]) == []


@pytest.mark.parametrize(("shares", "verdict"), [((0.9, 0.8), "better"), ((0.8, 0.9), "worse")], ids=["more", "less"])
def test_a_true_difference_is_found(shares, verdict):
    generator = np.random.default_rng(0)
    ours, theirs = (hits(generator, share + generator.normal(0, 0.003, 3), 2000) for share in shares)
    assert [each.verdict for each in judge([difference(ours, theirs)])] == [verdict]


def test_the_same_network_is_no_different():
    ours = hits(np.random.default_rng(0), [0.9, 0.88, 0.91], 500)
    (judged,) = judge([difference(ours, ours)])
    assert (judged.verdict, judged.p, judged.half_width) == ("no difference shown", 1.0, 0.0)


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.1], ids=["seeds alike", "as images", "seeds differ"])
def test_differences_that_are_not_there_are_found_no_more_often_than_promised(spread):
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        ours, theirs = (hits(generator, 0.8 + generator.normal(0, spread, 3), 300) for _ in range(2))
        found += difference(ours, theirs).p < 0.05
    assert stats.binomtest(found, 400, 0.05, alternative="greater").pvalue > 0.01


def test_one_of_many_differences_has_to_be_clearer():
    generator = np.random.default_rng(1)
    clear = difference(accuracies([90.3, 90.5, 90.4]), accuracies([90.0, 90.0, 90.0]))
    null = [
        difference(accuracies(generator.normal(90, 1, 3).tolist()), accuracies(generator.normal(90, 1, 3).tolist()))
        for _ in range(20)
    ]
    assert judge([clear])[0].verdict == "better"
    assert judge([clear, *null])[0].verdict == "no difference shown"


def test_a_single_seed_is_not_judged():
    found = difference(accuracies([90.0]), accuracies([10.0]))
    assert found.half_width() == math.inf
    assert judge([found])[0].verdict == "no difference shown"


def test_nothing_is_shown_where_no_error_is_known():
    found = difference(accuracies([90.0, 90.0]), accuracies([80.0, 80.0]))
    assert judge([found])[0].verdict == "no difference shown"
