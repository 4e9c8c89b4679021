import pytest

from elastic.training.order import Order, part_of


@pytest.mark.parametrize(
    ("images", "batch", "processes", "sizes"),
    [
        (10, 4, 1, [4, 4, 2]),
        (9, 4, 1, [4, 4]),
        (8, 4, 1, [4, 4]),
        (3, 4, 1, [3]),
        (10, 4, 2, [4, 4]),
        (12, 8, 2, [8, 4]),
    ],
    ids=["with a rest", "one is left out", "even", "one batch", "too few for two", "enough for two"],
)
def test_an_epoch_has_all_images_but_a_rest_that_is_too_small(images, batch, processes, sizes):
    order = Order(images, batch, seed=0, processes=processes)
    found = list(order.batches(0, order.steps))
    assert [len(each) for each in found] == sizes
    chosen = [image for each in found for image in each]
    assert len(set(chosen)) == len(chosen) == sum(sizes)


def test_each_epoch_has_its_order():
    order = Order(100, 100, seed=0)
    first, second = order.batches(0, 2)
    assert sorted(first) == sorted(second)
    assert first != second


def test_another_seed_is_another_order():
    assert next(Order(100, 100, seed=0).batches(0, 1)) != next(Order(100, 100, seed=1).batches(0, 1))


@pytest.mark.parametrize("step", [0, 1, 3, 5, 8])
def test_from_any_step_it_goes_on_as_it_would_have(step):
    order = Order(10, 4, seed=0)
    assert list(order.batches(step, 9)) == list(order.batches(0, 9))[step:]


@pytest.mark.parametrize("total", [4, 7, 9])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_a_batch(total, processes):
    images = list(range(total))
    parts = [images[part_of(total, rank, processes)] for rank in range(processes)]
    assert [image for part in parts for image in part] == images
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
