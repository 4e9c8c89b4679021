"""Batches of a data set, or of a part of it."""

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from elastic.errors import DataError


def images_loader(
    dataset: Dataset[tuple[Tensor, int]],
    batch_size: int,
    *,
    limit: int | None = None,
    seed: int | None = None,
    shuffle: bool = False,
    workers: int = 0,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a loader of (images [n, c, h, w], labels [n]) batches; the last may be smaller.

    At most `limit` images: the first ones, or with a `seed` a random choice, always the same for that seed. With
    `shuffle` they come in another order each epoch, which the seed fixes too; without one, torch's global generator
    decides. Folders of images come sorted by class: the first ones are all alike.

    Raises DataError for an empty data set, and for numbers below 1.
    """
    total = len(dataset)  # type: ignore[arg-type]
    for what, value in (("batch_size", batch_size), ("limit", limit)):
        if value is not None and value < 1:
            raise DataError(f"{what}={value}: at least 1 is needed")
    if total == 0:
        raise DataError("the data set holds no images")
    generator = None if shuffle and seed is None else torch.Generator().manual_seed(seed or 0)
    if limit is not None and limit < total:
        chosen = torch.arange(limit) if seed is None else torch.randperm(total, generator=generator)[:limit]
        dataset = Subset(dataset, chosen.tolist())
    return DataLoader(dataset, batch_size, shuffle=shuffle, num_workers=workers, generator=generator)  # type: ignore[arg-type]


def divided(
    dataset: Dataset[tuple[Tensor, int]], share: float, seed: int = 0
) -> tuple[Dataset[tuple[Tensor, int]], Dataset[tuple[Tensor, int]] | None]:
    """Return a data set without a share of its images, drawn with the seed, and that share; None where it is 0.

    Raises DataError if the share is less than one image, or leaves none.
    """
    if share == 0:
        return dataset, None
    total = len(dataset)  # type: ignore[arg-type]
    count = round(share * total)
    if not 1 <= count < total:
        raise DataError(f"a share of {share:g} of {total:,} images is {count}; at least one has to be on either side")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed)).tolist()
    return Subset(dataset, sorted(order[count:])), Subset(dataset, sorted(order[:count]))
