"""From what the user typed to a network, its input and its data. Torch is imported here, when a verb needs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elastic import models
from elastic.checkpoint import build, load
from elastic.cli.printing import Steps
from elastic.data import Metrics, Preprocessing, evaluate, images_loader
from elastic.data import load as load_data
from elastic.errors import FileFormatError, OutputExists, PathError, UnknownName
from elastic.metadata import Header, read_header
from elastic.weights import load_weights, read_weights


@dataclass(frozen=True, eq=False)
class Opened:
    """A network with what belongs to it."""

    model: nn.Module
    name: str  # in the registry; empty for the user's own
    arguments: dict[str, Any]
    preprocessing: Preprocessing

    @property
    def example(self) -> Tensor:
        """One image of noise of the right shape, [1, channels, size, size]."""
        return example_of(self.preprocessing)


def example_of(preprocessing: Preprocessing) -> Tensor:
    """Return one image of noise of the right shape, [1, channels, size, size]."""
    shape = (1, preprocessing.channels, preprocessing.size, preprocessing.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def open_model(
    spec: str,
    weights: Path | None,
    *,
    num_classes: int | None = None,
    mean: str | None = None,
    std: str | None = None,
    size: int | None = None,
) -> Opened:
    """Return the network that the user named, in eval mode, with trained weights where a file is given."""
    arguments = {} if num_classes is None else {"num_classes": num_classes}
    state = None if weights is None else read_weights(weights)
    model = models.from_spec(spec, **arguments)
    if state is not None:
        load_weights(model, state)
    own = ":" in spec
    if own and size is None:
        raise UnknownName(f"{spec} is not of the registry, so its input size isn't known; give --size")
    base = _own_preprocessing(model, int(size or 0)) if own else Preprocessing.default(spec)
    base = base if weights is None else Preprocessing.beside(weights, base)
    preprocessing = base.with_(mean=_numbers(mean, "--mean"), std=_numbers(std, "--std"), size=size)
    return Opened(model.eval(), "" if own else spec, arguments, preprocessing)


def open_file(path: Path, own_model: str | None = None) -> tuple[Header, Preprocessing]:
    """Return what a file says of itself and its input."""
    header = read_header(path)
    if not header.input:
        raise FileFormatError(
            f"{path} doesn't say what its input looks like; save it with input=Preprocessing(...).to_dict()"
        )
    return header, Preprocessing.from_dict(header.input, where=str(path))


def load_level(path: Path, header: Header, level: str | int | None, own_model: str | None) -> nn.Module:
    """Return the network of a level; the user's own factory builds it where the file names none."""
    arguments = header.model.get("arguments", {})
    model = models.from_spec(own_model, **arguments) if own_model else build(header, path)
    return load(path, level, model=model, header=header)


def is_file(spec: str) -> bool:
    """Return whether an argument names a file rather than a model."""
    return spec.endswith(".safetensors") or Path(spec).is_file()


def measure(
    model: nn.Module,
    data: str,
    preprocessing: Preprocessing,
    *,
    what: str,
    batch: int,
    limit: int | None,
    download: bool,
) -> Metrics:
    """Return the accuracy of a network on the test part of a data set, with progress on stderr."""
    dataset = load_data(data, train=False, preprocessing=preprocessing, download=download)
    loader = images_loader(dataset, batch, limit=limit, seed=0)
    return evaluate(model, loader, progress=Steps(what))


def check_output(path: Path, overwrite: bool) -> None:
    """Raise before any work is done, if the output could not be written after it."""
    if path.is_dir():
        raise PathError(f"{path} is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise PathError(f"there is no folder {path.parent} to write {path.name} into; make it first")
    if path.exists() and not overwrite:
        raise OutputExists(f"{path} exists; choose another name, or pass --overwrite")


def _own_preprocessing(model: nn.Module, size: int) -> Preprocessing:
    first = next((p for p in model.parameters() if p.dim() == 4), None)
    channels = 3 if first is None else int(first.shape[1])
    return Preprocessing(channels=channels, size=size, mean=(0.0,) * channels, std=(1.0,) * channels)


def _numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UnknownName(f"can't read {option} {text!r}; write numbers with commas, as in 0.485,0.456,0.406") from None
