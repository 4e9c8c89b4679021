"""From what the user typed to a network, its input and its data. Torch is imported here, when a verb needs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic import models
from elastic.checkpoint import load, load_state
from elastic.cli.printing import Steps, note
from elastic.data import Metrics, Preprocessing, divided, evaluate, images_loader
from elastic.data import load as load_data
from elastic.errors import FileFormatError, OutputExists, PathError, UnknownName
from elastic.metadata import Header, find_level, is_elastic, read_header
from elastic.tensors import take_dtypes
from elastic.weights import load_weights, read_weights

Images = Dataset[tuple[Tensor, int]]

MOST_OF_AN_INPUT = 1 << 24  # values of one image, of a file's network: 2,364 x 2,364 pixels in colour


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
        return self.preprocessing.example()


def open_model(
    spec: str,
    weights: Path | None,
    *,
    num_classes: int | None = None,
    mean: str | None = None,
    std: str | None = None,
    size: int | None = None,
) -> Opened:
    """Return the network that the user named, in eval mode; where a file of weights is given, with its dtypes."""
    arguments = {} if num_classes is None else {"num_classes": num_classes}
    if weights is not None and weights.is_file() and is_elastic(weights):
        raise FileFormatError(
            f"{weights} is an elastic file; `elastic rebuild` makes plain weights of one of its levels"
        )
    state = None if weights is None else read_weights(weights)
    model = models.from_spec(spec, **arguments)
    if state is not None:
        load_weights(take_dtypes(model, state), state)
    own = ":" in spec
    if own and size is None:
        raise UnknownName(f"{spec} is not of the registry, so its input size isn't known; give --size")
    base = _own_preprocessing(model, int(size or 0)) if own else Preprocessing.default(spec)
    base = base if weights is None else Preprocessing.beside(weights, base)
    preprocessing = base.with_(mean=_numbers(mean, "--mean"), std=_numbers(std, "--std"), size=size)
    return Opened(model.eval(), "" if own else spec, arguments, preprocessing)


def open_file(path: Path) -> tuple[Header, Preprocessing]:
    """Return what a file says of itself and its input; where it says nothing, what its network was designed for."""
    header = read_header(path)
    name = header.model.get("name")
    if header.input:
        preprocessing = Preprocessing.from_dict(header.input, where=str(path))
    elif isinstance(name, str) and name:
        preprocessing = Preprocessing.default(name)  # raises for a name of no network, before it is printed
        note(f"{path} doesn't say what its input looks like; taken to be what {name} was designed for")
    else:
        raise FileFormatError(
            f"{path} doesn't say what its input looks like; save it with input=Preprocessing(...).to_dict()"
        )
    if preprocessing.channels * preprocessing.size**2 > MOST_OF_AN_INPUT:
        size = f"{preprocessing.channels} channels of {preprocessing.size} x {preprocessing.size} pixels"
        raise FileFormatError(f"{path} asks for images of {size}; that is no plausible input, it is damaged")
    return header, preprocessing


def load_level(path: Path, header: Header, level: int | None, own_model: str | None) -> nn.Module:
    """Return the network of a level; the user's own factory builds it where the file names none."""
    if own_model is None:
        return load(path, level, header=header)
    model = models.from_spec(own_model, **header.model.get("arguments", {}))
    return load(path, level, model=take_dtypes(model, load_state(path, level)), header=header)


def levels_of(path: Path, header: Header, levels: Sequence[str] | None, own_model: str | None) -> dict[str, nn.Module]:
    """Return the networks of the levels that were named, of all where none was, by name."""
    numbers = [level_number(header, each) for each in levels] if levels else range(len(header.levels))
    return {header.levels[each].name: load_level(path, header, each, own_model) for each in numbers}


def level_number(header: Header, level: str | None) -> int:
    """Return the number of a level that the user gave by name or number."""
    if level is not None and level.isdecimal() and level not in {each.name for each in header.levels}:
        return find_level(header, int(level))
    return find_level(header, level)


def is_file(spec: str) -> bool:
    """Return whether an argument names a file rather than a model."""
    return spec.endswith(".safetensors") or Path(spec).is_file()


def open_data(data: str, preprocessing: Preprocessing, download: bool = False) -> Images:
    """Return the test part of a data set."""
    return load_data(data, train=False, preprocessing=preprocessing, download=download)


def open_training(
    data: str, preprocessing: Preprocessing, validation: float, seed: int, download: bool = False
) -> tuple[Images, Images | None]:
    """Return the training part of a data set without a share of its images, and that share, None where it is 0."""
    return divided(load_data(data, train=True, preprocessing=preprocessing, download=download), validation, seed)


def chosen(images: Images, count: int, seed: int) -> Images:
    """Return so many of the images, chosen by the seed; all of them where there are no more."""
    total = len(images)  # type: ignore[arg-type]
    return divided(images, 1 - count / total, seed)[0] if count < total else images


def open_calibration(
    data: str | None, preprocessing: Preprocessing, count: int, batch: int, seed: int, download: bool = False
) -> list[tuple[Tensor, Tensor]]:
    """Return batches of images of the training part, chosen by the seed, with their labels."""
    if data is None:
        raise UnknownName("--recover and criteria that look at data need images; give --data")
    learned = load_data(data, train=True, preprocessing=preprocessing, download=download)
    return [(images, labels) for images, labels in images_loader(learned, batch, limit=count, seed=seed)]


def measure(model: nn.Module, data: Images, *, what: str, batch: int, limit: int | None = None) -> Metrics:
    """Return the accuracy of a network, which is changed to float32 as images are, with progress on stderr."""
    loader = images_loader(data, batch, limit=limit, seed=0)
    with Steps(what) as progress:
        return evaluate(model.float(), loader, progress=progress)


def check_output(path: Path, overwrite: bool, suffix: str = ".safetensors") -> None:
    """Raise before any work is done, if the output could not be written after it, or its name would mislead."""
    if path.is_dir():
        raise PathError(f"{path} is a folder; give the name of a file")
    if path.suffix != suffix:
        raise PathError(f"{path} would be a {suffix} file; give it a name that ends so")
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
