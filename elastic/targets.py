"""Targets: `macs=50%`, `params=1.2M`, `size=3MB`, or several with commas; parsed once, checked against costs."""

from dataclasses import dataclass
from typing import Literal, get_args

from elastic.costs import Cost
from elastic.errors import TargetError
from elastic.sizes import NUMBER, SIZE

Quantity = Literal["macs", "params", "size"]
QUANTITIES: tuple[str, ...] = get_args(Quantity)

COUNT = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


@dataclass(frozen=True)
class Limit:
    """At most so much of one quantity: a share of the dense network's, or an absolute amount."""

    quantity: str
    share: float | None = None  # 0 to 1
    amount: int | None = None  # multiply-accumulates, parameters or bytes

    def of(self, dense: Cost) -> int:
        """Return the most that the limit allows, for a network of this dense cost."""
        if self.share is None:
            return self.amount or 0
        return int(round(self.share * dense[self.quantity], 6))  # 33.3% of 1000 is 333, also in floats

    def __str__(self) -> str:
        return f"{self.quantity}={self.share * 100:g}%" if self.share is not None else f"{self.quantity}={self.amount}"


@dataclass(frozen=True)
class Target:
    """Limits that one level has to keep all at once."""

    limits: tuple[Limit, ...]
    text: str

    def holds(self, cost: Cost, dense: Cost) -> bool:
        """Return whether a cost keeps every limit."""
        return all(cost[limit.quantity] <= limit.of(dense) for limit in self.limits)

    def check(self, least: Cost, dense: Cost) -> None:
        """Raise TargetError if even the least cost that can be reached is too much."""
        for limit in self.limits:
            lowest, whole = least[limit.quantity], dense[limit.quantity]
            if lowest > limit.of(dense):
                raise TargetError(
                    f"target {limit} cannot be reached: the least this model can keep is "
                    f"{lowest / whole:.1%} ({lowest:,} of {whole:,}); raise the target, lower --keep-at-least or "
                    "--round-to, or see `elastic doctor` for what is frozen"
                )

    def __str__(self) -> str:
        return self.text


def parse_target(text: str) -> Target:
    """Return the target that a text like `macs=50%,size=3MB` asks for.

    Shares are of the dense network; amounts take k, M, G (multiply-accumulates, parameters) or kB, MB, GB, KiB, MiB,
    GiB (size).

    Raises TargetError if it can't be read.
    """
    limits = tuple(_parse_limit(part.strip()) for part in text.split(","))
    if len({limit.quantity for limit in limits}) < len(limits):
        raise TargetError(f"target {text!r} limits one quantity twice; say each once")
    return Target(limits, ",".join(part.strip() for part in text.split(",")))


def parse_targets(text: str) -> list[Target]:
    """Return the targets of several levels that a text like `macs=25%,50%,75%` asks for, one limit each.

    Raises TargetError if it can't be read, or asks for the same twice.
    """
    found: list[Target] = []
    quantity = ""
    for part in (part.strip() for part in text.split(",")):
        named, equals, _ = part.partition("=")
        quantity = named if equals else quantity
        found.append(parse_target(part if equals else f"{quantity}={part}" if quantity else part))
    if len({str(target) for target in found}) < len(found):
        raise TargetError(f"levels {text!r} ask for the same twice; say each once")
    return found


def _parse_limit(part: str) -> Limit:
    quantity, equals, value = part.partition("=")
    if not equals or quantity not in QUANTITIES:
        raise TargetError(f"can't read the target {part!r}; write one of {', '.join(QUANTITIES)}, as in macs=50%")
    match = NUMBER.fullmatch(value.strip())
    unit = match.group(2).lower() if match else None
    units = SIZE if quantity == "size" else COUNT
    if match is None or (unit != "%" and unit not in units):
        known = "%, kB, MB, GB, KiB, MiB or GiB" if quantity == "size" else "%, k, M or G"
        raise TargetError(f"can't read {value!r} in the target {part!r}; write a number with {known}")
    number = float(match.group(1))
    if unit == "%":
        if not 0 < number <= 100:
            raise TargetError(f"target {part!r} asks for {number:g} %; give more than 0 and at most 100")
        return Limit(quantity, share=number / 100)
    if number <= 0:
        raise TargetError(f"target {part!r} asks for nothing at all; give more than 0")
    return Limit(quantity, amount=round(number * units[str(unit)]))
