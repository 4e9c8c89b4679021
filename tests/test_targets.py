"""Targets as texts: what they say, and what is refused."""

import pytest

from elastic.costs import Cost
from elastic.errors import TargetError
from elastic.targets import Limit, parse_target

DENSE = Cost(params=2_000, macs=1_000, bytes=9_000)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("macs=50%", 500), ("macs=33.3%", 333), ("macs=100%", 1_000), ("params=50%", 1_000), ("size=50%", 4_500),
        ("macs=1.5k", 1_500), ("params=1.2M", 1_200_000), ("macs=2G", 2 * 10**9), ("params=3b", 3 * 10**9),
        ("macs=7", 7), ("macs=60M", 60_000_000), ("macs=0.5G", 500_000_000), ("params=300k", 300_000),
        ("size=12.5%", 1_125),
        ("size=3MB", 3_000_000), ("size=3mb", 3_000_000), ("size=1KiB", 1_024), ("size=10 kB", 10_000),
        ("size=1.5MiB", 1_572_864), ("size=70B", 70), (" macs=50% ", 500),
    ],
)  # fmt: skip
def test_a_target_allows_so_much(text, amount):
    assert parse_target(text).limits[0].of(DENSE) == amount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't read the target ''; write one of macs, params, size"),
        ("macs", "can't read the target 'macs'"),
        ("flops=50%", "can't read the target 'flops=50%'; write one of macs, params, size"),
        ("=50%", "can't read the target '=50%'"),
        ("macs=50x", "can't read '50x'"),
        ("macs=101%", "asks for 101 %"),
        ("macs=", "can't read '' in the target"),
        ("macs=half", "can't read 'half' in the target 'macs=half'; write a number with %, k, M or G"),
        ("macs=50%%", "can't read '50%%'"),
        ("macs=-5%", "can't read '-5%'"),
        ("macs=1e9", "can't read '1e9'"),
        ("macs=nan%", "can't read 'nan%'"),
        ("macs=3MB", "can't read '3MB' .* write a number with %, k, M or G"),
        ("size=3M", "can't read '3M' .* write a number with %, kB, MB, GB, KiB, MiB or GiB"),
        ("macs=0%", "asks for 0 %; give more than 0 and at most 100"),
        ("macs=100.5%", "asks for 100.5 %; give more than 0 and at most 100"),
        ("params=0", "'params=0' asks for nothing at all"),
        ("macs=50%,macs=3M", "limits one quantity twice"),
        ("macs=50%,", "can't read the target ''"),
    ],
)
def test_what_can_not_be_read_is_refused(text, message):
    with pytest.raises(TargetError, match=message):
        parse_target(text)


def test_several_limits_stand_with_commas():
    assert parse_target("macs=50%, size=3MB").limits == (Limit("macs", share=0.5), Limit("size", amount=3_000_000))


@pytest.mark.parametrize(
    ("cost", "holds"),
    [(Cost(1_000, 500, 9_000), True), (Cost(1_001, 500, 0), False), (Cost(1_000, 501, 0), False)],
    ids=["both", "params", "macs"],
)
def test_several_limits_hold_together(cost, holds):
    assert parse_target("macs=50%,params=1000").holds(cost, DENSE) is holds


def test_a_target_out_of_reach_says_what_the_least_is():
    with pytest.raises(
        TargetError, match=r"target params=100 cannot be reached: .* 15\.0% \(300 of 2,000\); raise the"
    ):
        parse_target("macs=50%,params=100").check(Cost(300, 100, 100), DENSE)


def test_a_target_within_reach_passes():
    assert parse_target("macs=10%").check(Cost(300, 100, 100), DENSE) is None


@pytest.mark.parametrize("text", ["macs=50%", "macs=50%,size=3MB"])
def test_a_target_reads_as_it_was_written(text):
    assert str(parse_target(text)) == text
