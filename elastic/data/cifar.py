"""CIFAR-10 and CIFAR-100 in the layout in which their authors publish them.

The files are pickles, and a pickle can run code. They are read by an unpickler that knows numpy arrays and nothing
else, so that copies with other checksums (subsets, other orders) can be read as safely as the originals.

Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009).
"""

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_integrity, download_and_extract_archive

from elastic.data.images import ImagesInMemory
from elastic.data.loading import Request
from elastic.errors import DataError, PathError

ARRAYS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # bytes, in pickles of protocol 2
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}

logger = logging.getLogger(__name__)


def open_cifar10(request: Request) -> ImagesInMemory:
    """Return 50,000 images to train on, or 10,000 to test on."""
    return _open(request, CIFAR10)


def open_cifar100(request: Request) -> ImagesInMemory:
    """Return the images with their fine labels."""
    return _open(request, CIFAR100)


def _open(request: Request, published: type[CIFAR10]) -> ImagesInMemory:
    if request.download:
        download_and_extract_archive(published.url, str(request.folder), None, published.filename, published.tgz_md5)
    folder = _batches(request, published.base_folder)
    classes = _field(_unpickled(folder / published.meta["filename"]), published.meta["key"], list, folder)
    parts = published.train_list if request.train else published.test_list
    batches = [_batch(folder / name, md5, len(classes)) for name, md5 in parts]
    images = torch.from_numpy(np.concatenate([images for images, _ in batches]))
    labels = torch.tensor([label for _, labels in batches for label in labels])
    return ImagesInMemory(images, labels, classes=classes, transform=request.transform)


def _batches(request: Request, base_folder: str) -> Path:
    """Both the folder that holds `base_folder` and that folder itself may be given."""
    for folder in (request.folder / base_folder, request.folder):
        if folder.name == base_folder and folder.is_dir():
            return folder
    raise PathError(
        f"{request.name}: {request.folder} holds no folder {base_folder}; give the folder that does, or ask for a "
        f"download"
    )


def _batch(path: Path, md5: str, classes: int) -> tuple[np.ndarray, list[int]]:
    content = _unpickled(path)
    images = _field(content, "data", np.ndarray, path)
    labels = _field(content, "labels" if "labels" in content else "fine_labels", list, path)
    if images.dtype != np.uint8 or images.shape != (len(labels), 3072):
        raise DataError(
            f"{path} holds a {images.dtype} array {list(images.shape)} and {len(labels)} labels, not uint8 images of "
            f"3072 values each; fetch it again"
        )
    if not all(isinstance(label, int) and 0 <= label < classes for label in labels):
        raise DataError(f"{path} holds labels other than 0 to {classes - 1}; fetch it again")
    if not check_integrity(str(path), md5):
        logger.warning("%s is not the file that the authors published: its checksum differs", path)
    return images.reshape(-1, 3, 32, 32), labels


def _unpickled(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = _ArrayUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise PathError(f"{path} can't be read: {error.strerror}; is the data set complete?") from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise DataError(f"{path} is damaged, or no CIFAR file: {error}; fetch it again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, not the dictionary of a CIFAR file")
    return content


def _field(content: dict[str, Any], key: str, kind: type, path: Path) -> Any:
    found = content.get(key)
    if not isinstance(found, kind):
        raise DataError(f"{path} has no {key!r} as a CIFAR file has; it holds {', '.join(map(str, content))}")
    return found


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only numpy arrays are read")
        if (module, name) == ("numpy", "dtype"):
            return _dtype
        return super().find_class(module, name)


def _dtype(name: str, *_: Any) -> np.dtype[Any]:
    """Old pickles pass flags as integers, of which numpy warns."""
    return np.dtype(name)
