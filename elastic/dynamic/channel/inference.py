"""Inference: a copy of a network with channel gates that leaves out what is behind closed ones."""

import copy
import fnmatch
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from elastic.dynamic.channel.layers import ChannelGated, channel_gates, choosing_norms
from elastic.dynamic.channel.splitting import Skipping
from elastic.dynamic.counting import reset
from elastic.dynamic.skipping import Choice, choice_for, known_choice
from elastic.errors import CannotSkip, MaskMismatch, UnknownName
from elastic.measuring import Clock
from elastic.tracing import Example
from elastic.tracing.twin import run

BatchNorm = nn.modules.batchnorm._BatchNorm


def skipping_network(
    network: nn.Module,
    example: Example,
    *,
    layers: Sequence[str] = (),
    choices: Mapping[str, Choice] | None = None,
    runs: int = 5,
    clock: Clock = time.perf_counter,
) -> nn.Module:
    """Return a copy in eval mode that computes what is behind gates only where they are open; counters at zero.

    It makes what the masked network does, to rounding: a score that is its threshold but for rounding may open a gate
    here and not there. Ways are measured with the example's shapes as `measure` does, but for what is among `choices`.
    Tensors lie with channels last. Weights of layers that skip are no longer in the state dict: keep the gated network,
    and make this one anew when they change.

    All layers skip that can, or only those that match patterns; `left_masked` tells the others.

    Raises NothingToGate without gates, UnknownName for a pattern that matches none of them, CannotSkip for a layer that
    is asked for and can't, if no layer can, and for a network that is not on the CPU.
    """
    wanted = _wanted(list(channel_gates(network)), layers)
    if (device := next(network.parameters()).device).type != "cpu":
        raise CannotSkip(f"the network is on {device}, and ways to skip are for processors; move it to the CPU")
    found = copy.deepcopy(network).eval().requires_grad_(False)
    norms, kept = _norms(found, example), dict(choices or {})
    for name, layer in channel_gates(found).items():
        reason = _split(found, name, norms.get(name), kept) if name in wanted else "it was not asked for"
        if reason is not None and layers and name in wanted:
            raise CannotSkip(f"{name} can't skip: {reason}; leave it out of the layers")
        layer.masked_because = reason
    if not skipping_layers(found):
        name, reason = next(iter(left_masked(found).items()))
        raise CannotSkip(
            f"no layer of {type(network).__name__} can skip ({name}: {reason}); gate others, or use it as it is"
        )
    _lay_channels_last(found)
    measure(found, example, runs=runs, clock=clock)
    reset(found)
    return found


def measure(network: nn.Module, example: Example, *, runs: int = 5, clock: Clock = time.perf_counter) -> None:
    """Change a network that skips to know the fastest ways for inputs of these shapes and torch's number of threads.

    A second or so for each shape of a layer; what is known is not measured again. What has shapes that nothing was
    measured for is computed in full, and masked. `runs` and `clock` are those of `choose`. Counters stay.
    """
    layers = skipping_layers(network)
    kept = {buffer: buffer.clone() for layer in layers.values() for buffer in layer.gate.counter.buffers()}
    for layer in layers.values():
        layer.ask(partial(choice_for, runs=runs, clock=clock))
    try:
        with torch.inference_mode():
            run(network, example)
    finally:
        for layer in layers.values():
            layer.ask(known_choice)
        for buffer, before in kept.items():
            buffer.copy_(before)


def skipping_layers(network: nn.Module) -> dict[str, Skipping]:
    """Return the layers that skip, by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Skipping)}


def choices_in(network: nn.Module) -> dict[str, Choice]:
    """Return what was measured for a network that skips, by layer and shape; `as_data` makes it plain data."""
    return {name: each for layer in skipping_layers(network).values() for name, each in layer.choices.items()}


def left_masked(network: nn.Module) -> dict[str, str]:
    """Return why layers with channel gates compute everything, by name; none if all skip."""
    return {
        name: module.masked_because or "its network does not skip"
        for name, module in network.named_modules()
        if isinstance(module, ChannelGated)
    }


def _wanted(gated: Sequence[str], patterns: Sequence[str]) -> set[str]:
    for pattern in patterns:
        if not fnmatch.filter(gated, pattern):
            raise UnknownName(f"no layer with gates is called {pattern!r}; there are: {', '.join(gated)}")
    return {name for pattern in patterns or ("*",) for name in fnmatch.filter(gated, pattern)}


def _norms(network: nn.Module, example: Example) -> dict[str, tuple[str, int]]:
    """Return the norm that chooses for a layer, and how often it runs, by the layer's name."""
    found, ran = choosing_norms(network), Counter[str]()
    handles = [
        network.get_submodule(norm).register_forward_pre_hook(lambda *_, norm=norm: ran.update([norm]))
        for norm in set(found.values())
    ]
    try:
        with torch.inference_mode():
            run(network, example)
    finally:
        for handle in handles:
            handle.remove()
    return {name: (norm, ran[norm]) for name, norm in found.items()}


def _split(network: nn.Module, name: str, norm: tuple[str, int] | None, choices: dict[str, Choice]) -> str | None:
    """Change a layer to one that skips, and the norm that chooses for it to nothing, or return why it can't be."""
    layer: Any = network.get_submodule(name)
    behind: Any = None if norm is None else network.get_submodule(norm[0])
    if norm is not None and norm[1] != 1:
        return f"its norm {norm[0]} runs {norm[1]} times"
    try:
        skipping = Skipping(layer, behind, choices)
    except (CannotSkip, MaskMismatch) as error:
        return str(error)
    network.set_submodule(name, skipping.eval())
    if norm is not None:
        network.set_submodule(norm[0], nn.Identity())
    return None


def _lay_channels_last(network: nn.Module) -> None:
    for values in network.parameters():
        if values.dim() == 4:
            values.data = values.data.contiguous(memory_format=torch.channels_last)


def inputs_of_layers(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return what each layer that skips reads, by name, in the order of the run."""
    seen: dict[str, Tensor] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda layer, inputs: seen.__setitem__(name, inputs[0].clone())

    handles = [layer.register_forward_pre_hook(look(name)) for name, layer in skipping_layers(network).items()]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return seen
