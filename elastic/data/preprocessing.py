"""What is done to pixels before a network sees them; it belongs to the network as much as its weights do.

Wrong means and deviations cost points of accuracy and raise no error, so the values travel: as JSON beside a
checkpoint, and inside an elastic file.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

from elastic import models
from elastic.errors import FileFormatError, OutputExists, PathError

Pixels = Annotated[int, Field(ge=1, le=16384)]
Mean = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]

# Measured over the pixels of CIFAR-10's training images, and ImageNet's, as everybody uses them.
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Preprocessing(BaseModel):
    """From an image to the [channels, size, size] float32 tensor that the network takes.

    An image that has `size` x `size` pixels already is taken as it is. Of another, the shorter edge is first made
    `resize` pixels long (None: not resized), then the centre is cut out if `crop`; what still has another size is
    refused. Values are scaled to 0..1, then `mean` is subtracted and `std` divided by, per channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    channels: int = Field(ge=1, le=1024)
    size: Pixels
    resize: Pixels | None = None
    crop: bool = False
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[Mean, ...]
    std: tuple[Deviation, ...]

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"{self.channels} channels, but {len(self.mean)} means and {len(self.std)} deviations")
        return self

    @classmethod
    def default(cls, model_name: str) -> Self:
        """Return what the registry's `model_name` was designed for, or its library's own weights were trained with.

        Raises UnknownName for a model that is not in the registry.
        """
        channels, size, _ = models.example_shape(model_name)
        family, _, rest = model_name.partition("/")
        if family == "torchvision":
            return cls(channels=channels, size=size, crop=True, **_torchvision_values(rest, size))
        if family == "timm":
            return cls(channels=channels, size=size, crop=True, **_timm_values(rest, size))
        if channels == 3:
            return cls(channels=channels, size=size, mean=CIFAR_MEAN, std=CIFAR_STD)
        return cls(channels=channels, size=size, mean=(0.0,) * channels, std=(1.0,) * channels)

    @classmethod
    def beside(cls, checkpoint_path: str | Path, default: "Preprocessing") -> "Preprocessing":
        """Return `default` with what `input` says in the JSON file of the checkpoint's name, if there is one.

        `{"input": {"mean": [...], "std": [...]}}`, or any other field. Raises FileFormatError if it can't be read.
        """
        path = Path(checkpoint_path).with_suffix(".json")
        if not path.is_file():
            return default
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PathError(f"{path} is there, but can't be read: {error}") from error
        except ValueError as error:
            raise FileFormatError(f"{path} is no JSON: {error}; mend it, or move it away") from error
        found = document.get("input", {}) if isinstance(document, dict) else None
        if not isinstance(found, dict):
            raise FileFormatError(f'{path} should hold {{"input": {{"mean": [...], "std": [...]}}}}')
        return cls.from_dict(default.to_dict() | found, where=str(path))

    def write_beside(self, checkpoint_path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the JSON that `beside` reads, and return its path.

        Raises OutputExists if there is another file of that name, PathError if it can't be written.
        """
        path = Path(checkpoint_path).with_suffix(".json")
        try:
            with path.open("w" if overwrite else "x", encoding="utf-8") as file:
                json.dump({"input": self.to_dict()}, file, indent=1)
        except FileExistsError as error:
            raise OutputExists(f"{path} exists; choose another name, or pass --overwrite") from error
        except OSError as error:
            raise PathError(f"can't write {path}: {error.strerror or error}") from error
        return path

    def with_(self, **overrides: Any) -> "Preprocessing":
        """Return a copy with those fields changed that are not None: options of a command line, as they come.

        Raises FileFormatError for values that don't go together.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        return self.from_dict(self.to_dict() | given, where="the preprocessing that was asked for")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str = "preprocessing") -> "Preprocessing":
        """Return what `to_dict` wrote. Raises FileFormatError, naming the field, for anything else."""
        try:
            return cls.model_validate_json(json.dumps(dict(values)))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise FileFormatError(f"{where}: {field + ': ' if field else ''}{first['msg']}") from error
        except (TypeError, ValueError) as error:
            raise FileFormatError(f"{where}: not JSON values: {error}") from error

    def example(self) -> Tensor:
        """Return one image of noise of the right shape, [1, channels, size, size], always the same."""
        return torch.randn(1, self.channels, self.size, self.size, generator=torch.Generator().manual_seed(0))

    def transform(self) -> Callable[[Any], Tensor]:
        """Return a torchvision pipeline that takes a PIL image, an array or a tensor, or a batch of tensors."""
        from elastic.data.pipeline import pipeline  # imports torchvision, which takes a second or two

        return pipeline(self)


def _torchvision_values(name: str, size: int) -> dict[str, Any]:
    from torchvision.models import get_model_weights

    preset = get_model_weights(name).DEFAULT.transforms()
    if getattr(preset, "crop_size", None) != [size]:  # not a classifier, or weights made for another size
        return {"resize": round(size * 256 / 224), "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    return {
        "resize": preset.resize_size[0],
        "interpolation": _interpolation(preset.interpolation.value),
        "mean": tuple(preset.mean),
        "std": tuple(preset.std),
    }


def _timm_values(name: str, size: int) -> dict[str, Any]:
    import timm

    configuration: Any = timm.get_pretrained_cfg(name)
    return {
        "resize": math.floor(size / configuration.crop_pct),
        "interpolation": _interpolation(configuration.interpolation),
        "mean": tuple(configuration.mean),
        "std": tuple(configuration.std),
    }


def _interpolation(name: str) -> str:
    return "bicubic" if name == "bicubic" else "bilinear"
