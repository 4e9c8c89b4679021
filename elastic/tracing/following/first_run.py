"""The first run of a subject, and what it has to be told before: attentions that may be cut, heads that only train."""

from collections.abc import Callable

import torch
from torch import nn

from elastic.attention import can_be_free, set_free
from elastic.errors import TraceError
from elastic.tracing.following.recorder import Recorder
from elastic.tracing.following.script import Decisions
from elastic.tracing.following.subject import Subject
from elastic.tracing.layers import why_frozen
from elastic.tracing.twin import FAILURES, outputs


def follow(
    subject: Subject, decisions: Decisions, is_awaited: Callable[[Recorder, str], bool] | None = None
) -> Recorder:
    """Return the runs of a subject; a network's outputs keep their channels.

    Raises TraceError if it doesn't run on its input, Paused at the end of a module of choices that is awaited.
    """
    twin = subject.twin
    follower = Recorder(subject.modules, decisions, is_awaited)
    for _, module in subject.modules:
        if can_be_free(module):
            set_free(module)
        elif isinstance(module, nn.MultiheadAttention | nn.RNNBase | nn.RNNCellBase):
            why = why_frozen(module) or ""
            follower.locked |= {id(p): why for p in module.parameters()}
    subject.enter(follower)
    results: list[object] = []
    try:
        with subject.borrowed():
            results = subject.run(follower)
    except FAILURES as reason:
        raise TraceError(
            f"can't run {type(twin).__name__} on the example: {type(reason).__name__}: {reason}; "
            "check the example input, or prune a part of the model"
        ) from reason
    for tensor in outputs(results) if not subject.carried else ():
        for cells in follower.followed(tensor).axes.values():
            follower.frozen.append((cells, "it is the network's output"))
    return follower


def modules_that_train(subject: Subject, seen: set[int]) -> frozenset[str]:
    """Return the modules to put in train mode for a run that uses what only training does; none, if there is nothing.

    Heads that help training take channels of the network too, which a cut has to take from them as well. Layers stay in
    eval mode: norms and dropout do the same to channels there.
    """
    if all(id(parameter) in seen for parameter in subject.twin.parameters()):
        return frozenset()
    names = frozenset(name for name, module in subject.modules if module._modules)
    try:
        with torch.no_grad(), subject.borrowed():
            subject.run_with(names)
    except FAILURES:
        return frozenset()
    return names
