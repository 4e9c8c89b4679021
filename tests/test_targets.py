"""Targets as texts: what they say, and what is refused."""

import pytest

from elastic.costs import Cost
from elastic.errors import TargetError
from elastic.targets import Limit, parse_target

DENSE = Cost(params=2_000_000, macs=100_000_000, bytes=8_000_000)


@pytest.mark.parametrize(
    ("text", "quantity", "most"),
    [
        ("macs=50%", "macs", 50_000_000),
        ("macs=60M", "macs", 60_000_000),
        ("macs=0.5G", "macs", 500_000_000),
        ("params=1.2M", "params", 1_200_000),
        ("params=300k", "params", 300_000),
        ("params=12", "params", 12),
        ("size=3MB", "size", 3_000_000),
        ("size=3 MiB", "size", 3 * 2**20),
        ("size=12.5%", "size", 1_000_000),
    ],
)
def test_a_target_says_how_much_of_what(text: str, quantity: str, most: int) -> None:
    (limit,) = parse_target(text).limits
    assert (limit.quantity, limit.of(DENSE)) == (quantity, most)


def test_several_limits_stand_with_commas() -> None:
    assert parse_target("macs=50%, size=3MB").limits == (Limit("macs", share=0.5), Limit("size", amount=3_000_000))


def test_a_target_holds_only_if_every_limit_does() -> None:
    target = parse_target("macs=50%,params=1M")
    assert not target.holds(Cost(params=1_000_001, macs=1, bytes=1), DENSE)


@pytest.mark.parametrize(
    "text",
    ["", "macs", "macs=", "macs=nan", "macs=-5%", "flops=50%", "macs=50x", "size=3M", "params=3MB", "macs=1e9", "=50%"],
)
def test_what_can_not_be_read_is_refused(text: str) -> None:
    with pytest.raises(TargetError, match="can't read"):
        parse_target(text)


@pytest.mark.parametrize("text", ["macs=0%", "macs=101%", "params=0"])
def test_shares_and_amounts_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(TargetError, match="asks for"):
        parse_target(text)


def test_the_same_quantity_twice_is_refused() -> None:
    with pytest.raises(TargetError, match="one quantity twice"):
        parse_target("macs=50%,macs=40%")
