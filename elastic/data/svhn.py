"""Street View House Numbers, cropped digits: 73,257 images to train on and 26,032 to test on.

Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading Digits in Natural Images with Unsupervised Feature Learning (2011).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import loadmat
from torchvision.datasets import SVHN
from torchvision.datasets.utils import download_url

from elastic.data.images import ImagesInMemory
from elastic.data.loading import Request
from elastic.errors import DataError, PathError


def open_svhn(request: Request) -> ImagesInMemory:
    """Return the images of `train_32x32.mat` or `test_32x32.mat`, labelled 0 to 9."""
    url, name, md5 = SVHN.split_list["train" if request.train else "test"]
    if request.download:
        download_url(url, str(request.folder), name, md5)
    content = _loaded(request.folder / name)
    images: Any = content.get("X")
    labels: Any = content.get("y")
    if not _fits(images, labels):
        raise DataError(f"{request.folder / name} is no SVHN file: it holds {_shapes(content)}; fetch it again")
    return ImagesInMemory(
        torch.from_numpy(np.ascontiguousarray(images.transpose(3, 2, 0, 1))),  # [h, w, c, n] -> [n, c, h, w]
        torch.from_numpy(labels.reshape(-1).astype(np.int64) % 10),  # the file calls the digit 0 class 10
        classes=[str(digit) for digit in range(10)],
        transform=request.transform,
    )


def _loaded(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise PathError(f"svhn: {path.parent} holds no {path.name}; give the folder that does, or ask for a download")
    try:
        return loadmat(path)  # type: ignore[no-any-return]
    except Exception as error:  # a damaged file can fail in any way
        raise DataError(f"{path} is damaged, or no MATLAB file: {error}; fetch it again") from error


def _fits(images: Any, labels: Any) -> bool:
    if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):
        return False
    is_labelled = labels.dtype.kind in "iu" and labels.size > 0 and labels.min() >= 1 and labels.max() <= 10
    return is_labelled and images.dtype == np.uint8 and images.shape == (32, 32, 3, labels.size)


def _shapes(content: dict[str, Any]) -> str:
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    return ", ".join(f"{name} {value.dtype} {list(value.shape)}" for name, value in arrays.items()) or "no array"
