import torch

from elastic.data import augment


def batch(count=64):
    return torch.arange(1, count * 3 * 5 * 7 + 1, dtype=torch.float32).reshape(count, 3, 5, 7)


def test_without_shift_and_mirror_images_stay():
    assert torch.equal(augment(batch(), shift=0, mirror=False), batch())


def test_every_image_is_one_of_its_shifts_and_mirror_images():
    images = batch()
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    for index, image in enumerate(augment(images, shift=2)):
        crops = [padded[index, :, y : y + 5, x : x + 7] for y in range(5) for x in range(5)]
        assert any(torch.equal(image, crop) or torch.equal(image, crop.flip(2)) for crop in crops)


def test_all_shifts_and_both_directions_occur():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 1] = 1
    places = augment(image.expand(2000, 1, 5, 5), shift=1).flatten(1).argmax(1).unique()
    rows, columns = places // 5, places % 5
    assert (rows.unique().tolist(), columns.unique().tolist()) == ([1, 2, 3], [0, 1, 2, 3, 4])


def test_a_generator_fixes_what_is_drawn():
    first, second = (augment(batch(), generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_about_half_of_the_images_are_mirrored():
    images = batch(2000)
    is_same = (augment(images, shift=0) == images).flatten(1).all(1)
    assert 0.45 < is_same.float().mean() < 0.55


def test_moved_images_of_one_channel_are_not_taken_for_channels_last():
    assert augment(torch.randn(3, 1, 8, 8), shift=1).stride() == (64, 64, 8, 1)
