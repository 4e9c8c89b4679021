import sys

import pytest

from elastic.data import Preprocessing, load
from elastic.data.loading import SOURCES
from elastic.errors import DataError, PathError, UnknownName

CIFAR = Preprocessing.default("elastic/resnet20")
DIGITS = Preprocessing.default("elastic/digits_resnet")


@pytest.mark.parametrize(
    ("spec", "claim"),
    [
        ("cifer10", "unknown data set 'cifer10'; did you mean 'cifar10'?; known: cifar10, cifar100"),
        ("", "unknown data set ''; known: cifar10"),
        ("digits?split=3", "digits has no option 'split'; known: none"),
        ("imagefolder:.?clases=x", "imagefolder has no option 'clases'; did you mean 'classes'?"),
    ],
    ids=["name", "empty", "option", "misspelt-option"],
)
def test_a_name_that_is_not_known_is_answered_with_those_that_are(spec, claim):
    with pytest.raises(UnknownName, match=claim.replace("?", r"\?")):
        load(spec, train=True, preprocessing=CIFAR)


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "digits"])
def test_a_folder_that_is_not_there_is_named(name, tmp_path):
    with pytest.raises(PathError, match=f"{name}: {tmp_path}/nowhere is not a folder"):
        load(f"{name}:{tmp_path}/nowhere", train=True, preprocessing=CIFAR)


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "digits"])
def test_without_a_folder_the_environment_is_asked(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ELASTIC_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(PathError, match="nowhere, which ELASTIC_DATA names, is not a folder"):
        load(name, train=True, preprocessing=CIFAR)


def test_without_folder_and_environment_both_ways_are_told(monkeypatch):
    monkeypatch.delenv("ELASTIC_DATA", raising=False)
    with pytest.raises(DataError, match="write cifar10:FOLDER, or set the environment variable ELASTIC_DATA"):
        load("cifar10", train=True, preprocessing=CIFAR)


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "digits"])
def test_an_empty_folder_is_refused(name, tmp_path):
    with pytest.raises((PathError, DataError), match=str(tmp_path)):
        load(f"{name}:{tmp_path}", train=False, preprocessing=CIFAR)


def test_a_function_of_the_users_own_is_called_with_part_and_transform(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_data.py").write_text("def pixels(train, transform):\n    return [(train, transform)]\n")
    try:
        (train, transform), *rest = load("mine_data:pixels", train=True, preprocessing=CIFAR)
    finally:
        sys.modules.pop("mine_data", None)
    assert train is True
    assert callable(transform)
    assert not rest


def test_digits_are_split_once_and_for_all():
    train = load("digits", train=True, preprocessing=DIGITS)
    test = load("digits", train=False, preprocessing=DIGITS)
    assert (len(train), len(test)) == (1437, 360)
    assert test.labels[:10].tolist() == [7, 6, 3, 7, 7, 3, 2, 8, 9, 3]
    assert test.labels.bincount().tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]


def test_digits_are_one_channel_between_zero_and_one():
    images = load("digits", train=True, preprocessing=DIGITS).images
    assert images.shape[1:] == (1, 8, 8)
    assert (images.min(), images.max()) == (0, 1)


def test_no_digit_is_in_both_parts():
    from sklearn.datasets import load_digits

    parts = [load("digits", train=train, preprocessing=DIGITS).images.reshape(-1, 64) for train in (True, False)]
    both = sorted(tuple(image) for part in parts for image in part.tolist())
    assert both == sorted(tuple(image) for image in (load_digits().data / 16).tolist())


@pytest.mark.parametrize(
    ("options", "claim"),
    [({"spec": "digits:here"}, "take no folder"), ({"spec": "digits", "download": True}, "nothing to download")],
    ids=["folder", "download"],
)
def test_digits_need_neither_folder_nor_download(options, claim):
    with pytest.raises(DataError, match=claim):
        load(train=True, preprocessing=DIGITS, **options)
