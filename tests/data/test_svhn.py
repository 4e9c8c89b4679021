import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision.datasets import SVHN

from elastic.data import Preprocessing, load
from elastic.errors import DataError, PathError

CIFAR = Preprocessing.default("elastic/resnet20")


def write(path, *, count=4, **changes):
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
    savemat(path, {"X": images, "y": np.array([[1], [9], [10], [2]], dtype=np.uint8)[:count]} | changes)


@pytest.mark.parametrize(("train", "name"), [(True, "train_32x32.mat"), (False, "test_32x32.mat")])
def test_images_and_labels_equal_torchvisions(tmp_path, monkeypatch, train, name):
    write(tmp_path / name)
    monkeypatch.setattr(SVHN, "_check_integrity", lambda self: True)  # a small file has another checksum
    theirs = SVHN(tmp_path, split="train" if train else "test")
    ours = load(f"svhn:{tmp_path}", train=train, preprocessing=CIFAR)
    assert torch.equal(ours.images, torch.from_numpy(theirs.data))
    assert ours.labels.tolist() == theirs.labels.tolist() == [1, 9, 0, 2]


def test_a_part_that_is_missing_is_named(tmp_path):
    write(tmp_path / "train_32x32.mat")
    with pytest.raises(PathError, match=r"holds no test_32x32.mat; give the folder that does, or ask for a download"):
        load(f"svhn:{tmp_path}", train=False, preprocessing=CIFAR)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "test_32x32.mat").write_bytes(b"not MATLAB" * 100)
    with pytest.raises(DataError, match=r"test_32x32.mat is damaged, or no MATLAB file"):
        load(f"svhn:{tmp_path}", train=False, preprocessing=CIFAR)


@pytest.mark.parametrize(
    "changes",
    [
        {"y": np.array([[11], [1], [1], [1]], dtype=np.uint8)},
        {"y": np.array([[1]], dtype=np.uint8)},
        {"X": np.zeros((32, 32, 3, 4))},
        {"X": np.zeros((28, 28, 3, 4), dtype=np.uint8)},
    ],
    ids=["label", "too-few", "floats", "size"],
)
def test_a_file_with_other_content_is_refused(tmp_path, changes):
    write(tmp_path / "test_32x32.mat", **changes)
    with pytest.raises(DataError, match=r"is no SVHN file: it holds X .*, y uint8"):
        load(f"svhn:{tmp_path}", train=False, preprocessing=CIFAR)


def test_downloading_goes_to_the_authors_place(tmp_path, monkeypatch):
    write(tmp_path / "test_32x32.mat")
    asked = []
    monkeypatch.setattr("elastic.data.svhn.download_url", lambda *request: asked.append(request))
    load(f"svhn:{tmp_path}", train=False, preprocessing=CIFAR, download=True)
    assert asked[0][0] == "http://ufldl.stanford.edu/housenumbers/test_32x32.mat"
