"""Data sets by name: `NAME`, `NAME:FOLDER`, `NAME:FOLDER?option=value`, or the user's own `package.module:function`.

    cifar10  cifar100  svhn  imagenette  imagefolder:FOLDER  digits

Without a folder, the one that the environment variable ELASTIC_DATA names is searched.
"""

import difflib
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from elastic.data.preprocessing import Preprocessing
from elastic.errors import DataError, PathError, UnknownName
from elastic.models.importing import import_callable

# Where the function `open_NAME` of each is found: they import torchvision or scikit-learn.
SOURCES = {
    "cifar10": "elastic.data.cifar",
    "cifar100": "elastic.data.cifar",
    "svhn": "elastic.data.svhn",
    "imagenette": "elastic.data.folders",
    "imagefolder": "elastic.data.folders",
    "digits": "elastic.data.digits",
}

OPTIONS = {"imagenette": ("classes", "holdout"), "imagefolder": ("classes", "holdout")}


@dataclass(frozen=True)
class Request:
    """What was asked of a source. `folder` exists."""

    name: str
    folder: Path
    train: bool
    transform: Callable[[Any], Tensor]
    download: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


def load(
    spec: str, *, train: bool, preprocessing: Preprocessing, download: bool = False
) -> Dataset[tuple[Tensor, int]]:
    """Return the training or the test part of the data set that `spec` names, each image prepared for the network.

    A user's `package.module:function` is imported and called with `train` and `transform`; so a spec must come from
    the user, never out of a file. Nothing is fetched but with `download`, into FOLDER, for the sets that have a place
    to fetch them from.

    Raises UnknownName for a name or an option that is not known, PathError for a folder that is missing, DataError for
    one that holds something else.
    """
    name, _, rest = spec.partition("?")[0].partition(":")
    if name not in SOURCES:
        if all(part.isidentifier() for part in [*name.split("."), *rest.split(".")]):
            found = import_callable(spec)(train=train, transform=preprocessing.transform())
            return found  # type: ignore[no-any-return]
        raise _unknown(f"unknown data set {name!r}", name, [*SOURCES, "package.module:function"])
    request = Request(name, _folder(name, rest), train, preprocessing.transform(), download, _options(name, spec))
    opened = getattr(importlib.import_module(SOURCES[name]), f"open_{name}")(request)
    return opened  # type: ignore[no-any-return]


def _folder(name: str, rest: str) -> Path:
    if name == "digits":
        if rest:
            raise DataError(f"digits come with scikit-learn and take no folder, but {rest!r} was given")
        return Path()
    folder = rest or os.environ.get("ELASTIC_DATA", "")
    if not folder:
        raise DataError(f"{name} needs a folder: write {name}:FOLDER, or set the environment variable ELASTIC_DATA")
    if not Path(folder).is_dir():
        origin = "" if rest else ", which ELASTIC_DATA names,"
        raise PathError(f"{name}: {folder}{origin} is not a folder; give the one that holds the images")
    return Path(folder)


def _options(name: str, spec: str) -> dict[str, str]:
    known = OPTIONS.get(name, ())
    found: dict[str, str] = {}
    for option in filter(None, spec.partition("?")[2].split("&")):
        key, _, value = option.partition("=")
        if key not in known:
            raise _unknown(f"{name} has no option {key!r}", key, [*known])
        found[key] = value
    return found


def _unknown(claim: str, name: str, known: list[str]) -> UnknownName:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return UnknownName(f"{claim}{hint}; known: {', '.join(known) or 'none'}")
