"""Folders of image files, one folder a class.

FOLDER may hold `train` and `val` (or `test`), or the classes themselves. Options:

    classes=FILE   label order: a text file of one folder name a line, a JSON list of them, or a JSON object
                   {"0": ["n01440764", ...], ...}. Without it labels count the folders in sorted order, which is
                   ImageNet's own order only where all 1,000 of its classes are there
    classes=imagenet   the same for Imagenette's ten classes, without a file
    holdout=K      where there is no `train`: every K-th image is for testing, the others for training
"""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision.datasets import ImageFolder, Imagenette

from elastic.data.loading import Request
from elastic.errors import DataError, PathError

IMAGENETTE = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}

logger = logging.getLogger(__name__)


def open_imagefolder(request: Request) -> Dataset[tuple[Tensor, int]]:
    """Return the images below the folder, labelled by the folder that they lie in."""
    if request.download:
        raise DataError("imagefolder names no data set that could be downloaded; fetch the images yourself")
    return _open(request, request.folder)


def open_imagenette(request: Request) -> Dataset[tuple[Tensor, int]]:
    """Return ten easy classes of ImageNet (github.com/fastai/imagenette), labelled 0 to 9 if not asked otherwise."""
    if request.download:
        _download_imagenette(request.folder)
    inside = sorted(path for path in request.folder.glob("imagenette*") if path.is_dir())
    if len(inside) > 1:
        raise DataError(f"imagenette: {request.folder} holds {', '.join(path.name for path in inside)}; give one")
    return _open(request, inside[0] if inside else request.folder)


def _download_imagenette(folder: Path) -> None:
    """Skip what is there already: torchvision would raise."""
    if not (folder / "imagenette2").is_dir():
        Imagenette(folder, download=True)


def _open(request: Request, folder: Path) -> Dataset[tuple[Tensor, int]]:
    parts = ("train",) if request.train else ("val", "test")
    part = next((folder / part for part in parts if (folder / part).is_dir()), None)
    if part is None and any((folder / other).is_dir() for other in ("train", "val", "test")):
        raise DataError(f"{folder} holds no folder {' or '.join(parts)}; it holds {_listing(folder)}")
    images = _LabelledFolder.opened(part or folder, request)
    if part is not None:
        if "holdout" in request.options:
            raise DataError(f"holdout is for folders that are not split yet; {folder} is")
        return images
    return _held_out(images, request)


def _held_out(images: "_LabelledFolder", request: Request) -> Dataset[tuple[Tensor, int]]:
    every = request.options.get("holdout")
    if every is None:
        if request.train:
            logger.warning(
                "%s is not split: the images to train on are those that are tested on; holdout=5 keeps a fifth apart",
                images.root,
            )
        return images
    if not every.isdecimal() or not 2 <= int(every) <= len(images):
        raise DataError(f"holdout={every}: give a number from 2 to {len(images)}, as there are {len(images)} images")
    is_test = torch.arange(len(images)) % int(every) == int(every) - 1
    return Subset(images, torch.nonzero(~is_test if request.train else is_test).flatten().tolist())


class _LabelledFolder(ImageFolder):  # type: ignore[misc]
    """torchvision's image folder, with the labels given."""

    def __init__(self, root: Path, labels: dict[str, int], transform: Any) -> None:
        self.labels = labels
        super().__init__(root, transform=transform, loader=_image)

    @classmethod
    def opened(cls, folder: Path, request: Request) -> "_LabelledFolder":
        names = _class_folders(folder)
        if not names:
            raise DataError(f"{folder}: not one folder of images a class: it holds {_listing(folder) or 'nothing'}")
        try:
            return cls(folder, _labels(request, names), request.transform)
        except FileNotFoundError as error:
            raise DataError(f"{folder}: not one folder of images a class: {error}") from error

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        return list(self.labels), self.labels


def _labels(request: Request, names: list[str]) -> dict[str, int]:
    asked = request.options.get("classes")
    if asked is None:
        return {name: label for label, name in enumerate(names)}
    is_built_in = asked == "imagenet" and request.name == "imagenette"
    known = IMAGENETTE if is_built_in else _read_classes(Path(asked))
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"classes={asked} lists {len(known)} classes, but not the folder {unknown[0]}")
    return {name: known[name] for name in names}


def _read_classes(path: Path) -> dict[str, int]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else text.split()
        if isinstance(content, dict):
            return {str(entry[0]): int(label) for label, entry in content.items()}
        return {str(name): label for label, name in enumerate(content)}
    except OSError as error:
        raise PathError(f"classes={path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError, LookupError) as error:
        raise DataError(
            f"classes={path} is neither a line for each class, nor a JSON list, nor "
            f'{{"0": ["n01440764", ...], ...}}: {error}'
        ) from error


def _class_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def _listing(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir())[:5])


def _image(path: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} can't be decoded: {error}; fetch it again, or take it away") from error
