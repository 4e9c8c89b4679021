"""Keeping: where a training stands, in one safetensors file that takes the place of the last one in one step.

A process may be killed at any time; what goes on from the file makes the same weights as one that was not, bit for bit
on a CPU with as many threads.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes
from torch import Tensor

from elastic.errors import FileFormatError, PathError, TrainingMismatch
from elastic.journal import parsed
from elastic.metadata.replacing import replacing
from elastic.recipes import Recipe
from elastic.training.records import Epoch, Finite

KEY = "training"

OTHERWISE = {
    "recipe": "another recipe",
    "weights": "other weights to start from",
    "trained": "other parameters to train",
    "images": "another number of images",
    "validation": "another number of images to validate on",
    "teacher": "another teacher, or none",
    "hook": "other targets, or other settings of what is trained beside the weights",
}


class Begun(BaseModel):
    """What was begun; a training goes on only from its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
    weights: str  # digests
    trained: str
    images: int
    validation: int
    teacher: str
    hook: dict[str, JsonValue]


class Standing(BaseModel):
    """How far it is: steps that are done, sums over those of this epoch, epochs that are over."""

    model_config = ConfigDict(extra="forbid")

    begun: Begun
    step: int = 0
    loss: Finite = 0.0
    hits: int = 0
    images: int = 0
    seconds: Finite = 0.0
    epochs: list[Epoch] = []
    is_over: bool = False


def write_standing(path: Path, standing: Standing, tensors: Mapping[str, Tensor]) -> None:
    """Write where a training stands. Raises PathError if it can't be written."""
    data = as_bytes({name: tensor.contiguous() for name, tensor in tensors.items()}, {KEY: standing.model_dump_json()})
    with replacing(path, overwrite=True) as file:
        file.write(data)


def read_standing(path: Path, begun: Begun) -> tuple[Standing, dict[str, Tensor]]:
    """Return where a training of this beginning stands, with the tensors that it needs; at its start if no file is.

    Raises TrainingMismatch if the file is of another, FileFormatError if it is no such file, PathError if it can't be
    read.
    """
    if not path.exists():
        return Standing(begun=begun), {}
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY, "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a method of its own
    except OSError as reason:
        raise PathError(f"can't read {path}: {reason.strerror or reason}") from reason
    except SafetensorError as reason:
        raise FileFormatError(f"{path} is no file of a training ({reason}); give another path") from reason
    standing = parsed(Standing, text.encode(), f"{path} is no file of a training", "give another path")
    for name, what in OTHERWISE.items():
        if getattr(standing.begun, name) != getattr(begun, name):
            raise TrainingMismatch(
                f"{path} is of a training with {what}; give the same again to go on with it, or another path to begin"
            )
    return standing, tensors
