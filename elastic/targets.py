"""Targets: `macs=50%`, `size=3MB`, `memory=8MB`, `latency=8ms`, or several with commas; checked against costs."""

from dataclasses import dataclass
from typing import Literal, get_args

from elastic.costs import Cost
from elastic.errors import TargetError
from elastic.sizes import NUMBER, SIZE

Quantity = Literal["macs", "params", "size"]
QUANTITIES: tuple[str, ...] = get_args(Quantity)
Limited = Quantity | Literal["memory", "latency"]  # sums over tensors, what is held at once, what a table tells
MEMORY, LATENCY = "memory", "latency"
LIMITED: tuple[str, ...] = (*QUANTITIES, MEMORY, LATENCY)

COUNT = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
TIME = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
BYTES = (SIZE, "%, kB, MB, GB, KiB, MiB or GiB")
UNITS: dict[str, tuple[dict[str, int], str]] = {
    "size": BYTES,
    MEMORY: BYTES,
    LATENCY: (TIME, "%, us, ms or s"),
}


@dataclass(frozen=True)
class Limit:
    """At most so much of one quantity: a share of the dense network's, or an absolute amount."""

    quantity: str
    share: float | None = None  # 0 to 1
    amount: int | None = None  # multiply-accumulates, parameters, bytes or nanoseconds

    def of(self, dense: Cost) -> int:
        """Return the most that the limit allows, for a network of this dense cost."""
        if self.share is None:
            return self.amount or 0
        return int(round(self.share * dense[self.quantity], 6))  # 33.3% of 1000 is 333, also in floats

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.quantity}={self.share * 100:g}%"
        if self.quantity == LATENCY:
            return f"{self.quantity}={(self.amount or 0) / TIME['ms']:g}ms"
        return f"{self.quantity}={self.amount}"


@dataclass(frozen=True)
class Target:
    """Limits that one level has to keep all at once."""

    limits: tuple[Limit, ...]
    text: str

    def holds(self, cost: Cost, dense: Cost) -> bool:
        """Return whether a cost keeps every limit."""
        return all(cost[limit.quantity] <= limit.of(dense) for limit in self.limits)

    @property
    def needs_latency(self) -> bool:
        """Whether a limit is one of time, which only a table of this device tells."""
        return any(limit.quantity == LATENCY for limit in self.limits)

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

    Shares are of the dense network; amounts take k, M, G (multiply-accumulates, parameters), kB, MB, GB, KiB, MiB, GiB
    (size, memory) or us, ms, s (latency).

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
    if not equals or quantity not in LIMITED:
        raise TargetError(f"can't read the target {part!r}; write one of {', '.join(LIMITED)}, as in macs=50%")
    match = NUMBER.fullmatch(value.strip())
    unit = match.group(2).lower() if match else None
    units, known = UNITS.get(quantity, (COUNT, "%, k, M or G"))
    if match is None or (unit != "%" and unit not in units):
        raise TargetError(f"can't read {value!r} in the target {part!r}; write a number with {known}")
    number = float(match.group(1))
    if unit == "%":
        if not 0 < number <= 100:
            raise TargetError(f"target {part!r} asks for {number:g} %; give more than 0 and at most 100")
        return Limit(quantity, share=number / 100)
    if number <= 0:
        raise TargetError(f"target {part!r} asks for nothing at all; give more than 0")
    return Limit(quantity, amount=round(number * units[str(unit)]))
