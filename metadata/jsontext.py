"""JSON text to and from bytes, when the text may be hostile.

The standard parser, fenced: a cap on the length, no NaN or infinity, no doubled keys, no lone surrogates, no nesting
deep enough to end a process. The same content always gives the same text.
"""

import json
import math
from typing import Any, NoReturn

from elastic.errors import FileFormatError

DEEPEST = 64
LARGEST = (1 << 63) - 1


def text_of(value: object, what: str) -> str:
    """Return the one compact JSON text of a value.

    Raises FileFormatError if the value is not made of finite numbers, texts, lists and objects.
    """
    check(value, what)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse(text: str | bytes, what: str, cap: int) -> Any:
    """Return what a JSON text says; `what` names the text in errors, `cap` is the most bytes or letters.

    Numbers and texts in it are as they come: fields are checked one by one by who knows them, and the rest by `check`.

    Raises FileFormatError if the text is too long, or is not plain JSON.
    """
    if len(text) > cap:
        raise FileFormatError(f"{what} has {len(text)} bytes, at most {cap} are read; the file is damaged or hostile")
    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_doubles,
        )
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise FileFormatError(f"{what} is not JSON that can be read ({reason}); the file is damaged") from error
    return value


def check(value: object, what: str, deepest: int = DEEPEST) -> None:
    """Raise FileFormatError unless a value is plain JSON: finite, encodable, not nested too deeply."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if not -LARGEST <= value <= LARGEST:
            raise FileFormatError(f"{what} holds a whole number of more than 63 bits; the file is damaged or hostile")
        return
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise FileFormatError(f"{what} holds text that is not Unicode: {value[:40]!a}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise FileFormatError(f"{what} holds the number {value}; only finite numbers can be stored")
    elif deepest == 0:
        raise FileFormatError(f"{what} nests more than {DEEPEST} deep; the file is damaged or hostile")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_key(key, what)
            check(inner, what, deepest - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            check(inner, what, deepest - 1)
    else:
        raise FileFormatError(f"{what} holds a {type(value).__name__}; only JSON's own types can be stored")


def _check_key(key: object, what: str) -> None:
    if not isinstance(key, str):
        raise FileFormatError(f"{what} holds the key {key!r}; keys are texts")
    check(key, what)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name}")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same key twice in one object")
    return found
