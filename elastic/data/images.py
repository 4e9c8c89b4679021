"""A data set that is small enough to stay in memory as one tensor.

Decoding ten thousand small images one by one takes longer than a small network does; here a whole batch goes through
the pipeline at once.
"""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.utils.data import Dataset


class ImagesInMemory(Dataset[tuple[Tensor, int]]):
    """`images` [n, channels, height, width], uint8 or float in 0..1, and `labels` [n] int64.

    `transform` takes an image or a batch and must be deterministic: one random crop would be the whole batch's.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, *, classes: Sequence[str], transform: Callable[[Tensor], Tensor]
    ) -> None:
        self.images = images
        self.labels = labels
        self.classes = list(classes)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), int(self.labels[index])

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        """Return several items; torch's loader asks for a whole batch here."""
        return list(zip(self.transform(self.images[indices]), self.labels[indices].tolist(), strict=True))
