import torch

from elastic.data.images import ImagesInMemory


def test_items_and_batches_of_items_agree():
    images = ImagesInMemory(
        torch.arange(12.0).reshape(3, 1, 2, 2), torch.tensor([5, 6, 7]), classes="abc", transform=lambda x: x * 2
    )
    together = images.__getitems__([2, 0])
    assert len(images) == 3
    assert [label for _, label in together] == [images[2][1], images[0][1]] == [7, 5]
    assert all(torch.equal(image, images[index][0]) for (image, _), index in zip(together, (2, 0), strict=True))
