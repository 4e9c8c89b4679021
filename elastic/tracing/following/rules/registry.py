"""Rules by operation: what becomes of the cells of an operation's inputs.

A rule takes a `Call` and returns what follows its output: one `Followed`, the same for all outputs where there are
several; a list where they differ, of which those that it doesn't reach carry nothing; or None where nothing can leave.
It unites what must be one, freezes what can't be followed, and asks for a choice where an axis is split and several
parts of it might be what leaves. An operation without a rule freezes all that it touches.
"""

from collections.abc import Callable
from typing import Any

from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Followed

Result = Followed | list[Followed] | None
Rule = Callable[[Call], Result]

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Return a decorator that makes a function the rule of operations, by their names in `torch.ops.aten`."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def same(*names: str) -> None:
    """Let operations pass what they get: their output has the axes of their first input."""
    rule(*names)(lambda call: call.of(call.args[0]))


def shape(tensor: Any) -> tuple[int, ...]:
    """Return a tensor's shape as plain numbers."""
    return tuple(tensor.shape)
