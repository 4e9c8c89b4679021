"""Bits: how many each layer's weights and inputs have, as texts: `W8A8` for all, `layer1.*=W4A4` for some.

Later ones win; `=float` leaves layers as they are.
"""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

from elastic.errors import InvalidBits, UnknownName

LEAST, MOST = 2, 8
FLOAT = "float"
TEXT = re.compile(r"[Ww]([0-9]{1,3})[Aa]([0-9]{1,3})")


@dataclass(frozen=True)
class Bits:
    """Bits of a layer's weights and of its inputs. Raises InvalidBits for less than 2 or more than 8."""

    weights: int
    inputs: int

    def __post_init__(self) -> None:
        for what, bits in (("weights", self.weights), ("inputs", self.inputs)):
            if not LEAST <= bits <= MOST:
                raise InvalidBits(f"{what} of {bits} bits can't be had; give {LEAST} to {MOST}")

    def __str__(self) -> str:
        return f"W{self.weights}A{self.inputs}"


def parse_bits(text: str) -> Bits:
    """Return what a text like `W4A8` says. Raises InvalidBits if it can't be read."""
    match = TEXT.fullmatch(text.strip())
    if match is None:
        raise InvalidBits(f"can't read the bits {text!r}; write W8A8: bits of weights, then of inputs")
    return Bits(int(match.group(1)), int(match.group(2)))


def bits_of(asked: str | Sequence[str], layers: Sequence[str]) -> dict[str, Bits]:
    """Return the bits of each layer that is to have some, in the order of the layers.

    What is asked is texts, or one with commas between them: bits, or `PATTERN=BITS` for the layers whose names match.

    Raises InvalidBits for a text that can't be read, UnknownName for a pattern that no layer matches.
    """
    found: dict[str, Bits | None] = dict.fromkeys(layers)
    for text in asked.split(",") if isinstance(asked, str) else asked:
        pattern, is_pattern, wanted = text.strip().rpartition("=")
        hits = fnmatch.filter(layers, pattern) if is_pattern else list(layers)
        if not hits:
            there = ", ".join(layers[:8]) or "none"
            raise UnknownName(f"no layer that can be quantised is called {pattern!r}; there are: {there}")
        found |= dict.fromkeys(hits, None if wanted == FLOAT else parse_bits(wanted))
    return {name: bits for name, bits in found.items() if bits is not None}
