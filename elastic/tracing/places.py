"""Places: which lines of a network's code an operation came from, for reasons and for choices."""

import sys
from collections.abc import Iterator

Place = tuple[tuple[str, int], ...]  # innermost lines of code, file and number

MACHINERY = ("/elastic/tracing/", "/torch/_ops.py", "/torch/utils/_python_dispatch.py", "/torch/_tensor.py")


def lines() -> Iterator[tuple[str, int]]:
    """Yield the lines of code that led here, innermost first, without tracing's own and torch's machinery."""
    frame, has_begun = sys._getframe(1), False
    while frame is not None:
        name = frame.f_code.co_filename
        is_network = not any(part in name for part in MACHINERY)
        if is_network:
            yield name, frame.f_lineno
        if has_begun and "/elastic/tracing/" in name:
            return  # the call of the network itself
        has_begun = has_begun or is_network
        frame = frame.f_back  # type: ignore[assignment]


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
