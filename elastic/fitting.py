"""Make a model's modules agree with a state dict: shapes of parameters, and the sizes that modules keep beside them.

Convolutions (plain, transposed, grouped), linear layers, norms, PReLU and embeddings know their widths twice, as
shapes and as attributes; both are set here. With tracing, the only place that knows kinds of layers.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from elastic.attention import can_be_free, set_free
from elastic.errors import FitError
from elastic.plain import check_plain

Conv = nn.modules.conv._ConvNd
TransposedConv = nn.modules.conv._ConvTransposeNd
BatchNorm = nn.modules.batchnorm._BatchNorm
InstanceNorm = nn.modules.instancenorm._InstanceNorm


def fit(
    model: nn.Module, state: Mapping[str, Tensor], attributes: Mapping[tuple[str, str], int] | None = None
) -> nn.Module:
    """Change the model so that it is the network of a state dict, and return it.

    `attributes` are widths that no shape tells, such as the number of heads (`Plan.sizes`).

    Tensors of `state` are copied into the model's own device and dtype; parameters keep requires_grad, tied ones stay
    tied, and those that keep their shape keep their identity. Gradients of what changes shape are dropped.

    Raises LiveNetwork for one of `elastic.load`, FitError if names differ, or if a module can't take a shape.
    """
    check_plain(model)
    own = {**dict(model.named_parameters(remove_duplicate=False)), **_saved_buffers(model)}
    _check_names(own, state)
    reshaped: dict[int, Tensor] = {}
    for name, tensor in own.items():
        if tensor.shape == state[name].shape:
            if not tensor.is_meta:  # which has no values
                with torch.no_grad():
                    tensor.copy_(state[name])
        elif id(tensor) not in reshaped:
            reshaped[id(tensor)] = _renewed(tensor, state[name])
    changed = [(path, module, _shapes(module)) for path, module in model.named_modules() if _touches(module, reshaped)]
    for _, module, _ in changed:
        _replace(module, {local: reshaped[id(t)] for local, t in _locals(module) if id(t) in reshaped})
    for path, module, before in changed:
        _set_sizes(path, module, before)
    if changed:
        _forget_what_was_computed(model)
    set_attributes(model, attributes or {})
    return model


def fitted(
    model: nn.Module, state: Mapping[str, Tensor], attributes: Mapping[tuple[str, str], int] | None = None
) -> nn.Module:
    """Return a copy of the model that is the network of a state dict; the model stays as it is, no weight is shared."""
    memo: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        if id(tensor) not in memo:
            new = torch.empty_like(tensor, device=tensor.device)
            memo[id(tensor)] = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
    for _, buffer in model.named_buffers():
        memo[id(buffer)] = buffer.detach().clone()  # those that no state dict holds keep their values
    return fit(copy.deepcopy(model, memo), state, attributes)


def set_attributes(model: nn.Module, attributes: Mapping[tuple[str, str], int]) -> None:
    """Change numbers that modules keep of their widths, by the module's path and the attribute's name.

    `splits.0` is the first of a list. What is no number already is no width: a file can't set anything else.

    Raises FitError if there is no such number.
    """
    for (path, attribute), value in attributes.items():
        name, _, place = attribute.partition(".")
        try:
            module = model.get_submodule(path)
            held = vars(module)[name]
            old = held[int(place)] if place else held
        except (AttributeError, KeyError, IndexError, ValueError, TypeError):
            raise FitError(f"{path or 'the network'} has no attribute {attribute}; is it the network it was?") from None
        if type(old) is not int:
            raise FitError(f"{path}.{attribute} is {old!r}, not a number of channels; is it the network it was?")
        if place:
            value = type(held)(value if number == int(place) else each for number, each in enumerate(held))
        setattr(module, name, value)


def _check_names(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    if missing := [name for name in own if name not in state]:
        raise FitError(f"the state dict lacks {len(missing)} tensors of the model, first {missing[0]}; is it its own?")
    if unknown := [name for name in state if name not in own]:
        raise FitError(f"the state dict has {len(unknown)} tensors that the model lacks, first {unknown[0]}")
    for name, tensor in own.items():
        if tensor.dim() != state[name].dim():
            raise FitError(f"{name} has {tensor.dim()} axes, the state dict's has {state[name].dim()}")


def _saved_buffers(model: nn.Module) -> dict[str, Tensor]:
    persistent = model.state_dict(keep_vars=True)
    return {name: t for name, t in model.named_buffers(remove_duplicate=False) if name in persistent}


def _renewed(tensor: Tensor, value: Tensor) -> Tensor:
    new = value.detach().to(tensor.device, tensor.dtype, copy=True).contiguous()
    return nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new


def _locals(module: nn.Module) -> list[tuple[str, Tensor]]:
    held = [*module._parameters.items(), *module._buffers.items()]
    return [(name, tensor) for name, tensor in held if tensor is not None]


def _touches(module: nn.Module, reshaped: Mapping[int, Tensor]) -> bool:
    own = _locals(module)
    if parametrizations := module._modules.get("parametrizations"):
        own += [item for each in parametrizations.modules() for item in _locals(each)]
    return any(id(tensor) in reshaped for _, tensor in own)


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a module's tensors, and of a weight that is computed from others."""
    shapes = {local: tuple(tensor.shape) for local, tensor in _locals(module)}
    if "weight" not in shapes and ("parametrizations" in module._modules or "weight_v" in shapes):
        with torch.no_grad():
            for hook in module._forward_pre_hooks.values():
                if type(hook).__name__ == "WeightNorm":
                    hook(module, ())  # computes the weight anew
            weight: Any = module.weight
            shapes["weight"] = tuple(weight.shape)
    return shapes


def _forget_what_was_computed(model: nn.Module) -> None:
    # Some modules keep tensors that they computed from weights in a dictionary until they are trained again.
    for module in model.modules():
        for name, held in vars(module).items():
            if (
                type(held) is dict
                and held
                and not name.startswith("_")
                and all(isinstance(v, Tensor) for v in held.values())
            ):
                held.clear()


def _replace(module: nn.Module, changed: Mapping[str, Tensor]) -> None:
    for local, tensor in changed.items():
        held = module._parameters if isinstance(tensor, nn.Parameter) else module._buffers
        held[local] = tensor  # type: ignore[assignment]  # the two have different value types


def _set_sizes(path: str, module: nn.Module, before: Mapping[str, tuple[int, ...]]) -> None:
    shapes = _shapes(module)
    match module:
        case TransposedConv() | Conv():
            _set_convolution(path, module, before["weight"], shapes["weight"])
        case nn.Linear():
            module.out_features, module.in_features = shapes["weight"]
        case BatchNorm() | InstanceNorm():
            module.num_features = _length(path, shapes)
        case nn.LayerNorm() | nn.RMSNorm():
            module.normalized_shape = shapes["weight"]
        case nn.GroupNorm():
            _set_group_norm(path, module, before["weight"][0], shapes["weight"][0])
        case nn.PReLU():
            module.num_parameters = shapes["weight"][0]
        case nn.Embedding():
            module.num_embeddings, module.embedding_dim = shapes["weight"]
        case _ if "weight" in shapes and isinstance(getattr(module, "normalized_shape", None), tuple | torch.Size):
            setattr(module, "normalized_shape", shapes["weight"])  # noqa: B010  # norms of other libraries
        case nn.MultiheadAttention() if can_be_free(module):
            set_free(module)
            module.embed_dim = module.kdim = module.vdim = shapes["in_proj_weight"][1]
        case nn.MultiheadAttention() | nn.RNNBase():
            raise FitError(f"{path} ({type(module).__name__}) can't change its size")


def _set_convolution(path: str, module: Any, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    # A grouped convolution loses whole groups, so the channels of one group stay as many as they were.
    own, per_group = (0, 1)
    if module.groups > 1:
        if after[per_group] != before[per_group] or after[own] % (before[own] // module.groups):
            raise FitError(f"{path} has {module.groups} groups; a weight of shape {list(after)} has no whole groups")
        module.groups = after[own] // (before[own] // module.groups)
    sides = (after[own], after[per_group] * module.groups)
    is_transposed = isinstance(module, TransposedConv)
    module.in_channels, module.out_channels = sides if is_transposed else sides[::-1]


def _set_group_norm(path: str, module: nn.GroupNorm, before: int, after: int) -> None:
    size = before // module.num_groups
    if module.num_groups > 1 and after % size:
        raise FitError(f"{path} has groups of {size} channels; {after} channels have no whole groups")
    module.num_groups = after // size if module.num_groups > 1 else 1
    module.num_channels = after


def _length(path: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    lengths = {shape[0] for shape in shapes.values() if len(shape) == 1}
    if len(lengths) != 1:
        raise FitError(f"{path} has tensors of lengths {sorted(lengths)}; a norm needs one length")
    return lengths.pop()
