"""Places: which lines of a network's code an operation came from, for reasons and for choices."""

import sys
from collections.abc import Iterator
from functools import cache

Place = tuple[tuple[str, int], ...]  # innermost lines of code, file and number

MACHINERY = ("/elastic/tracing/", "/torch/_ops.py", "/torch/utils/_python_dispatch.py", "/torch/_tensor.py")
START = "/elastic/tracing/twin.py"  # calls the network


def lines() -> Iterator[tuple[str, int]]:
    """Yield the lines of code that led here, innermost first, without tracing's own and torch's machinery."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not _is_machinery(name):
            yield name, frame.f_lineno
        elif name.endswith(START):
            return
        frame = frame.f_back  # type: ignore[assignment]


@cache
def _is_machinery(name: str) -> bool:
    return any(part in name for part in MACHINERY)


def place_of_call() -> Place:
    """Return the three innermost lines of code of a network that led here."""
    found: list[tuple[str, int]] = []
    for line in lines():
        if line[0].endswith("/torch/nn/modules/module.py"):
            if found:
                break
            continue
        found.append(line)
        if len(found) == 3:
            break
    return tuple(found)
