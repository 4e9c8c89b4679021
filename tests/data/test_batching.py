import pytest
import torch
from torch.utils.data import TensorDataset

from elastic.data import images_loader
from elastic.errors import DataError

TEN = TensorDataset(torch.arange(10.0)[:, None], torch.arange(10))


def order(loader):
    return [int(label) for _, labels in loader for label in labels]


def test_batches_come_in_order_and_the_last_is_smaller():
    assert [len(labels) for _, labels in images_loader(TEN, 4)] == [4, 4, 2]
    assert order(images_loader(TEN, 4)) == list(range(10))


@pytest.mark.parametrize(("limit", "count"), [(3, 3), (10, 10), (99, 10), (None, 10)])
def test_a_limit_takes_the_first_images(limit, count):
    assert order(images_loader(TEN, 4, limit=limit)) == list(range(count))


def test_a_limit_with_a_seed_takes_the_same_choice_each_time():
    first, second = (order(images_loader(TEN, 4, limit=5, seed=1)) for _ in range(2))
    assert first == second != list(range(5))
    assert len(set(first)) == 5


def test_a_shuffled_loader_gives_another_order_each_epoch_and_the_seed_fixes_both():
    loader, again = (images_loader(TEN, 4, seed=1, shuffle=True) for _ in range(2))
    epochs = [order(loader), order(loader)]
    assert epochs == [order(again), order(again)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == list(range(10))


def test_reading_in_order_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    order(images_loader(TEN, 4))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "claim"), [({"batch_size": 0}, "batch_size=0: at least 1"), ({"batch_size": 4, "limit": 0}, "limit=0")]
)
def test_numbers_below_one_are_refused(options, claim):
    with pytest.raises(DataError, match=claim):
        images_loader(TEN, **options)


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match="the data set holds no images"):
        images_loader(TensorDataset(torch.zeros(0, 1)), 4)
