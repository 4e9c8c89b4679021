import os
import pickle

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from elastic.data import Preprocessing, load
from elastic.errors import DataError, PathError

CIFAR = Preprocessing.default("elastic/resnet20")


class Harmful:
    """What an attacker would put into a pickle."""

    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.fixture
def folder(tmp_path):
    """Return a folder in CIFAR-100's layout with 5 images to train on and 3 to test on."""
    inside = tmp_path / "cifar-100-python"
    inside.mkdir()
    write(inside / "meta", {"fine_label_names": [f"class {label}" for label in range(100)]})
    write(inside / "train", batch(5))
    write(inside / "test", batch(3))
    return inside


def batch(count, **changes):
    data = np.random.default_rng(count).integers(0, 256, (count, 3072), dtype=np.uint8)
    return {"data": data, "fine_labels": [90 + label for label in range(count)]} | changes


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_of_all_protocols_are_read(folder, protocol):
    write(folder / "test", batch(3), protocol)
    images = load(f"cifar100:{folder}", train=False, preprocessing=CIFAR)
    assert torch.equal(images.images, torch.from_numpy(batch(3)["data"]).reshape(3, 3, 32, 32))
    assert images.labels.tolist() == [90, 91, 92]


@pytest.mark.parametrize("level", ["folder", "parent"])
def test_the_folder_and_the_one_that_holds_it_may_be_given(folder, level):
    given = folder if level == "folder" else folder.parent
    assert len(load(f"cifar100:{given}", train=True, preprocessing=CIFAR)) == 5


def test_cifar10_joins_its_five_files(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    write(folder / "batches.meta", {"label_names": list("abcdefghij")})
    for number in range(1, 6):
        write(folder / f"data_batch_{number}", {"data": batch(number)["data"], "labels": [number] * number})
    found = load(f"cifar10:{tmp_path}", train=True, preprocessing=CIFAR)
    assert found.labels.tolist() == [1, 2, 2, 3, 3, 3, *[4] * 4, *[5] * 5]
    assert found.classes == list("abcdefghij")


@pytest.mark.parametrize("name", ["meta", "test"])
def test_a_hostile_file_is_refused_and_nothing_is_run(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    write(folder / name, {"data": Harmful()})
    with pytest.raises(DataError, match=f"{name} is damaged, or no CIFAR file: it asks for posix.mkdir"):
        load(f"cifar100:{folder}", train=False, preprocessing=CIFAR)
    assert not (folder / "harmed").exists()


@pytest.mark.parametrize(
    ("content", "claim"),
    [
        (batch(3, fine_labels=[1, 2]), r"uint8 array \[3, 3072\] and 2 labels"),
        (batch(3, data=np.zeros((3, 3072))), r"holds a float64 array"),
        (batch(3, fine_labels=[1, 2, 100]), "labels other than 0 to 99"),
        (batch(3, fine_labels=[1, 2, "3"]), "labels other than 0 to 99"),
        ({"data": 3, "labels": [1]}, "has no 'data' as a CIFAR file has; it holds data, labels"),
        ([1], "holds a list, not the dictionary"),
    ],
    ids=["too-few-labels", "floats", "label-too-large", "text-label", "no-array", "list"],
)
def test_a_file_with_other_content_is_refused(folder, content, claim):
    write(folder / "test", content)
    with pytest.raises(DataError, match=claim):
        load(f"cifar100:{folder}", train=False, preprocessing=CIFAR)


@pytest.mark.parametrize("length", [0, 1, 10, -1])
def test_a_file_that_is_cut_off_is_refused(folder, length):
    content = (folder / "test").read_bytes()
    (folder / "test").write_bytes(content[:length])
    with pytest.raises(DataError, match="test is damaged, or no CIFAR file"):
        load(f"cifar100:{folder}", train=False, preprocessing=CIFAR)


def test_a_file_that_is_missing_is_named(folder):
    (folder / "train").unlink()
    with pytest.raises(PathError, match="train can't be read: No such file or directory"):
        load(f"cifar100:{folder}", train=True, preprocessing=CIFAR)


def test_a_folder_without_the_data_set_is_refused(tmp_path):
    with pytest.raises(PathError, match="holds no folder cifar-10-batches-py; give the folder that does"):
        load(f"cifar10:{tmp_path}", train=True, preprocessing=CIFAR)


def test_a_copy_with_another_checksum_is_read_and_said_to_be_one(folder, caplog):
    load(f"cifar100:{folder}", train=False, preprocessing=CIFAR)
    assert "test is not the file that the authors published" in caplog.text


def test_downloading_goes_to_the_authors_place(folder, monkeypatch):
    asked = []
    monkeypatch.setattr("elastic.data.cifar.download_and_extract_archive", lambda *request: asked.append(request))
    load(f"cifar100:{folder.parent}", train=False, preprocessing=CIFAR, download=True)
    assert asked == [
        (
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            str(folder.parent),
            None,
            "cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
        )
    ]


def test_the_original_is_read_without_a_warning(real_data, caplog):
    assert len(load(f"cifar10:{real_data}", train=False, preprocessing=CIFAR)) == 10_000
    assert not caplog.text


def test_images_equal_torchvisions_bit_for_bit(real_data):
    steps = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(CIFAR.mean, CIFAR.std)]
    theirs = CIFAR10(real_data, train=False, transform=v2.Compose(steps))
    ours = load(f"cifar10:{real_data}", train=False, preprocessing=CIFAR)
    chosen = list(range(0, 10_000, 97))
    assert torch.equal(
        torch.stack([image for image, _ in ours.__getitems__(chosen)]), torch.stack([theirs[i][0] for i in chosen])
    )
    assert ours.labels.tolist() == theirs.targets
