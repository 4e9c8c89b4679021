"""Building: the network that a file names, out of the registry alone, and no larger than the file's bytes could fill.

A file is data from elsewhere: it must not be able to import anything, or to ask for a network that no memory holds.
"""

import math
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from elastic import models
from elastic.errors import FileFormatError
from elastic.metadata import Header

LONGEST_NAME = 100  # letters
MOST_OF_AN_ARGUMENT = 100_000  # classes, say
MOST_BESIDE_WEIGHTS = 1 << 24  # elements that a network's builder may take for what isn't in its file


def build(header: Header, path: str | Path = "") -> nn.Module:
    """Return the registry's network that a header names, with random weights and of the largest size.

    `path` is the file that the header is from: a network with more weights than its bytes could hold is refused.
    """
    name, arguments = header.model.get("name"), header.model.get("arguments", {})
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not isinstance(arguments, dict):
        raise FileFormatError(f"{path} doesn't say which model it is of; give it (--model package.module:factory)")
    for key, value in arguments.items():
        if not _is_modest(value):
            raise FileFormatError(
                f"{path}: the model's argument {key}={str(value)[:40]} is no plain value of modest size"
            )
    most = Path(path).stat().st_size + MOST_BESIDE_WEIGHTS if path else 1 << 62  # a weight takes a byte or more
    with _Allocating(most, f"{path} is too small to hold the weights of {name}: it is not a file of that network"):
        return models.build(name, **arguments)


def _is_modest(value: object) -> bool:
    match value:
        case bool() | None:
            return True
        case int():
            return 0 <= value <= MOST_OF_AN_ARGUMENT
        case float():
            return -1 <= value <= 4
        case str():
            return len(value) <= 40
    return False


class _Allocating(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, refuses to make new tensors once they have more elements than `most` in all, with the reason."""

    def __init__(self, most: int, reason: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.left = most
        self.reason = reason

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], list | tuple) and all(isinstance(length, int) for length in args[0]):
            self.left -= math.prod(args[0])
            if self.left < 0:
                raise FileFormatError(self.reason)
        return func(*args, **(kwargs or {}))
