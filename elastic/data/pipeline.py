"""The torchvision transforms that a `Preprocessing` stands for. Importing this imports torchvision."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from elastic.errors import DataError

if TYPE_CHECKING:
    from elastic.data.preprocessing import Preprocessing


def pipeline(preprocessing: "Preprocessing") -> Callable[[Any], Tensor]:
    """Return size, channels, scale and normalisation in this order; deterministic, so that batches pass as one.

    PIL images are resized by PIL, as torchvision's reference results are; tensors by torch, which differs in the last
    bit of a byte.
    """
    channels = {1: [v2.Grayscale(1)], 3: [v2.RGB()]}.get(preprocessing.channels, [])
    return v2.Compose(  # type: ignore[no-any-return]
        [
            _Sized(preprocessing),
            v2.ToImage(),
            *channels,
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(preprocessing.mean, preprocessing.std),
            v2.ToPureTensor(),
        ]
    )


class _Sized:
    """Bring an image to `size` x `size`, or say why not."""

    def __init__(self, preprocessing: "Preprocessing") -> None:
        self.wanted = preprocessing

    def __call__(self, image: Any) -> Any:
        wanted = self.wanted
        image = image if isinstance(image, Image.Image) else functional.to_image(image)
        if functional.get_size(image) == [wanted.size, wanted.size]:
            return image
        if wanted.resize is not None:
            mode = InterpolationMode(wanted.interpolation)
            image = functional.resize(image, [wanted.resize], interpolation=mode, antialias=True)
        height, width = functional.get_size(image)
        if wanted.crop and min(height, width) >= wanted.size:
            return functional.center_crop(image, [wanted.size, wanted.size])
        if (height, width) != (wanted.size, wanted.size):
            raise DataError(
                f"an image has {height} x {width} pixels{_after(wanted)}, the network takes {wanted.size} x "
                f"{wanted.size}; give a size to resize to, and a crop if images are not square"
            )
        return image


def _after(wanted: "Preprocessing") -> str:
    return "" if wanted.resize is None else f" after its shorter edge was resized to {wanted.resize}"
