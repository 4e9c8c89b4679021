"""Checkpoints as data: tensors by name, in and out of a model, and nothing that could run.

Both verbs refuse rather than repair: a name too many, a shape that differs and a weight that is not a number are each
reported by name.
"""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from elastic.errors import CheckpointMismatch, FileFormatError, InvalidWeights, PathError
from elastic.metadata.sparse import is_sparse
from elastic.sparse_storage import load_sparse

WRAPPERS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before each name


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file, or of a .pt, .pth, .th or .bin file of torch.save, on the CPU.

    Those of a sparse file (`elastic.save_sparse`) are whole, with their zeros. A state dict nested under `state_dict`,
    `model_state_dict` or `model` is found; a `module.` or `_orig_mod.` before all names is dropped. Pickled code is
    never run.

    Raises PathError if the file is not there, FileFormatError if it is damaged or holds anything but tensors.
    """
    path = Path(path)
    read = {".safetensors": _read_safetensors, **dict.fromkeys((".pt", ".pth", ".th", ".bin"), _read_torch)}
    if path.suffix not in read:
        raise FileFormatError(f"{path}: weights are read from {', '.join(read)} files, not from {path.suffix!r}")
    if not path.is_file():
        raise PathError(f"there is no file {path}")
    return _without_prefix(_state_dict(read[path.suffix](path), path))


def load_weights(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Change the model's parameters and buffers to those of `state`, which must fit name by name.

    Only two kinds of names may be missing: `num_batches_tracked`, a counter that old checkpoints lack, and the second
    name of a tensor that the model ties to another.

    Raises CheckpointMismatch where names, shapes or kinds of numbers differ, and InvalidWeights for NaN and infinity;
    the model is then unchanged.
    """
    wanted = model.state_dict(keep_vars=True)
    tied = {id(tensor) for name, tensor in wanted.items() if name in state}
    missing = [
        name
        for name, tensor in wanted.items()
        if name not in state and id(tensor) not in tied and not name.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in state if name not in wanted]
    differing = [claim for name, tensor in wanted.items() if name in state for claim in _differs(name, state, tensor)]
    complaints = [
        *_first_three(missing, "missing from the checkpoint"),
        *_first_three(unexpected, "unknown to the model"),
        *_first_three(differing, "of another shape or kind"),
    ]
    if complaints:
        raise CheckpointMismatch(f"the checkpoint is not one of this model: {'; '.join(complaints)}")
    for name, tensor in state.items():
        _check_finite(name, tensor)
    model.load_state_dict(state, strict=False)


def _read_safetensors(path: Path) -> Any:
    if is_sparse(path):
        return load_sparse(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise FileFormatError(f"{path} is damaged, or no safetensors file: {error}") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FileFormatError(
            f"{path} is damaged, or holds pickled code, which is not run (weights_only refuses it): {_asked(error)}; "
            f"save its state_dict() alone, best as safetensors"
        ) from error
    except Exception as error:  # a damaged archive can fail in any way
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise FileFormatError(f"{path} is damaged, or no file of torch.save: {reason}") from error


def _asked(error: pickle.UnpicklingError) -> str:
    """Return the one line of torch's page of advice that names what the pickle asks for."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0] if lines else "")


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise FileFormatError(f"{path} holds {_described(content)}, not tensors by name")
    if others := [name for name, value in content.items() if not isinstance(value, Tensor)]:
        raise FileFormatError(
            f"{path}: {others[0]!r} is {_described(content[others[0]])}, not a tensor; a state dict is looked for "
            f"at the top and under {', '.join(WRAPPERS)}"
        )
    return {str(name): tensor.detach() for name, tensor in content.items()}


def _described(value: Any) -> str:
    is_empty = isinstance(value, (dict, list, tuple)) and not value
    return f"an empty {type(value).__name__}" if is_empty else f"a {type(value).__name__}"


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES * 2:  # either may be the outer one
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _differs(name: str, state: Mapping[str, Tensor], wanted: Tensor) -> Iterable[str]:
    given = state[name]
    if given.shape != wanted.shape:
        yield f"{name} has shape {list(given.shape)}, the model wants {list(wanted.shape)}"
    elif given.is_floating_point() != wanted.is_floating_point():
        yield f"{name} holds {given.dtype}, the model wants {wanted.dtype}"


def _first_three(names: list[str], what: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{len(names)} {what}: {', '.join(names[:3])}{more}"]


def _check_finite(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        return
    count = int((~torch.isfinite(tensor)).sum())
    if count:
        raise InvalidWeights(
            f"{name} holds {count} values of {tensor.numel()} that are NaN or infinite: the checkpoint is broken, "
            f"or its training diverged; take an earlier one"
        )
