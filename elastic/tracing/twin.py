"""A copy of a model to try things on, so that the model itself is never touched.

Copying with every tensor replaced beforehand costs no memory and keeps ties; the twin is in eval mode, without hooks,
all its floating parameters require gradients (a frozen one is cut like any other), and nothing of it outlives a trace.
"""

import copy
import dataclasses
import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import ElasticError, TraceError

RECOMPUTE = ("WeightNorm", "SpectralNorm")  # torch.nn.utils' hooks, without which a weight isn't there

Modules = Sequence[tuple[str, nn.Module]]  # of a network, with their paths, each once
Example = Tensor | Sequence[Any] | Mapping[str, Any]

FAILURES = (ElasticError, RuntimeError, ValueError, TypeError, IndexError, AssertionError, KeyError, AttributeError)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What a module was called with: positions and keywords, where an example has one or the other."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def meta_twin(model: nn.Module) -> nn.Module:
    """Return a copy of the model on the meta device, in float32: shapes, no values."""
    return _twin(model, lambda t: torch.empty(t.shape, dtype=_plain(t.dtype), device="meta"))


def random_twin(model: nn.Module, seed: int = 0) -> nn.Module:
    """Return a copy of the model in float32 on the CPU with random weights that hide nothing.

    Norms get random statistics, and gains that a trainer starts at zero are away from zero, so that a wrong cut
    anywhere shows in the output.
    """
    generator = torch.Generator().manual_seed(seed)
    twin = _twin(model, lambda t: _random_like(t, generator))
    for name, buffer in twin.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5, generator=generator)
    return twin


def held(modules: Modules) -> Iterator[tuple[str, Tensor, bool]]:
    """Yield the tensors that a state dict holds, by name, and whether each is a parameter."""
    for path, module in modules:
        prefix = f"{path}." if path else ""
        for name, parameter in module._parameters.items():
            if parameter is not None:
                yield prefix + name, parameter, True
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                yield prefix + name, buffer, False


def place(example: Example, device: str) -> Example:
    """Return the example input on a device, floating tensors as float32."""
    if isinstance(example, Tensor):
        return example.to(device, _plain(example.dtype))
    if isinstance(example, Mapping):
        return {key: place(value, device) for key, value in example.items()}
    if isinstance(example, Sequence) and not isinstance(example, str):
        return tuple(place(value, device) for value in example)
    return example


def run(model: nn.Module, example: Example | Arguments) -> Any:
    """Return the model's output: one tensor is one argument, a sequence several, a mapping keywords."""
    if isinstance(example, Arguments):
        return model(*example.args, **example.kwargs)
    if isinstance(example, Tensor):
        return model(example)
    return model(**example) if isinstance(example, Mapping) else model(*example)


def outputs(result: Any) -> list[Tensor]:
    """Return all floating tensors in a model's output, however nested."""
    if isinstance(result, Tensor):
        return [result] if result.is_floating_point() else []
    if isinstance(result, Mapping):
        return [t for value in result.values() for t in outputs(value)]
    if isinstance(result, Sequence) and not isinstance(result, str):
        return [t for value in result for t in outputs(value)]
    if dataclasses.is_dataclass(result) or (hasattr(result, "__dict__") and not isinstance(result, type | nn.Module)):
        return outputs(vars(result))  # a record
    return []


def in_words(reason: Exception) -> str:
    """Return why a network that was cut doesn't run; `FAILURES` are what its code may raise."""
    first = (str(reason).splitlines() or [type(reason).__name__])[0]
    return f"the network doesn't run without some of it: {first[:120]}"


def _twin(model: nn.Module, replace: Any) -> nn.Module:
    memo: dict[int, Any] = {}
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        if id(tensor) not in memo:
            new = replace(tensor.detach())
            is_parameter = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(new, new.is_floating_point()) if is_parameter else new
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and id(value) not in memo:  # computed: by a weight norm, or kept from a run
                memo[id(value)] = replace(value.detach())
    try:
        twin = _copied(model, memo).eval()
    except (RuntimeError, TypeError) as reason:  # locks, generators, tensors that a run left in a list
        raise TraceError(
            f"{type(model).__name__} can't be copied: {reason}; remove what a copy can't take, such as kept activations"
        ) from reason
    for module in twin.modules():
        module._forward_hooks.clear()
        for key, hook in list(module._forward_pre_hooks.items()):
            if type(hook).__name__ not in RECOMPUTE:
                del module._forward_pre_hooks[key]
    return twin


PLAIN = frozenset((bool, int, float, str, type(None), torch.dtype, torch.Size, type))


def _copied(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """Return what copy.deepcopy would, in a third of the time: a module is mostly empty dictionaries and numbers."""
    if id(module) in memo:
        known: nn.Module = memo[id(module)]
        return known
    if isinstance(module, torch.jit.ScriptModule) or (hasattr(module, "__deepcopy__") and not _is_parametrized(module)):
        return copy.deepcopy(module, memo)
    new: nn.Module = module.__class__.__new__(module.__class__)
    memo[id(module)] = new
    new.__dict__.update({key: _copied_value(key, value, memo) for key, value in vars(module).items()})
    return new


def _copied_value(key: str, value: Any, memo: dict[int, Any]) -> Any:
    if type(value) in PLAIN:
        return value
    if type(value) in CONTAINERS and not value:
        return value.copy()
    if key in ("_parameters", "_buffers"):
        return type(value)((name, None if tensor is None else memo[id(tensor)]) for name, tensor in value.items())
    if key == "_modules":
        return type(value)((name, None if each is None else _copied(each, memo)) for name, each in value.items())
    return _copied(value, memo) if isinstance(value, nn.Module) else copy.deepcopy(value, memo)


def _is_parametrized(module: nn.Module) -> bool:
    return "parametrizations" in module._modules


def _plain(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype.is_floating_point else dtype


def _random_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    if not tensor.is_floating_point():  # indices, whose values count; on the meta device there are none
        return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor.detach().cpu().clone()
    new = torch.empty(tensor.shape, dtype=torch.float32)
    if tensor.dim() < 2 or tensor.numel() == max(tensor.shape):  # biases, norms, layer scales
        return new.uniform_(0.5, 1.5, generator=generator)
    fan_in = max(1, tensor[0].numel())
    return new.uniform_(-1, 1, generator=generator).mul_((3 / fan_in) ** 0.5)


@contextmanager
def borrowed(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let modules be changed, and give them back as they were: their attributes and what they hold, not tensors."""
    before = [(module, _shallow(vars(module))) for module in modules]
    try:
        yield
    finally:
        for module, held in before:
            vars(module).clear()
            vars(module).update(held)


CONTAINERS = frozenset((dict, list, OrderedDict, set))


def _shallow(held: dict[str, Any]) -> dict[str, Any]:
    # Parameters, buffers, caches: what a module keeps in a plain container is put back too.
    return {key: value.copy() if type(value) in CONTAINERS else value for key, value in held.items()}
