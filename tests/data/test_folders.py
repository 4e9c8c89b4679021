import json
import logging

import numpy as np
import pytest
from PIL import Image

from elastic.data import Preprocessing, load
from elastic.errors import DataError, PathError

PLAIN = Preprocessing(channels=3, size=8, mean=(0.0,) * 3, std=(1.0,) * 3)
BIRDS = ("n01440764", "n02102040", "n03888257")


def fill(folder, classes=BIRDS, count=2):
    """Image i of class c is grey, of value 16 c + i."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((8, 8, 3), 16 * label + number, np.uint8)).save(folder / name / f"{number}.png")
    return folder


def labels(dataset):
    return [label for _, label in dataset]


def greys(dataset):
    return [round(float(image.mean()) * 255) for image, _ in dataset]


@pytest.mark.parametrize("name", ["imagefolder", "imagenette"])
def test_folders_are_labelled_in_sorted_order(tmp_path, name):
    fill(tmp_path)
    images = load(f"{name}:{tmp_path}", train=False, preprocessing=PLAIN)
    assert labels(images) == [0, 0, 1, 1, 2, 2]
    assert greys(images) == [0, 1, 16, 17, 32, 33]


@pytest.mark.parametrize("test", ["val", "test"])
def test_train_and_test_folders_are_told_apart(tmp_path, test):
    fill(tmp_path / "train", count=3)
    fill(tmp_path / test, count=1)
    parts = [load(f"imagefolder:{tmp_path}", train=train, preprocessing=PLAIN) for train in (True, False)]
    assert [len(part) for part in parts] == [9, 3]


def test_a_split_without_the_part_that_is_asked_for_is_refused(tmp_path):
    fill(tmp_path / "val")
    with pytest.raises(DataError, match="holds no folder train; it holds val"):
        load(f"imagefolder:{tmp_path}", train=True, preprocessing=PLAIN)


@pytest.mark.parametrize("given", ["imagenette2-160", "."])
def test_imagenette_is_found_in_the_folder_that_holds_it(tmp_path, given):
    fill(tmp_path / "imagenette2-160" / "val")
    assert len(load(f"imagenette:{tmp_path / given}", train=False, preprocessing=PLAIN)) == 6


def test_several_copies_of_imagenette_are_not_guessed_between(tmp_path):
    fill(tmp_path / "imagenette2-160" / "val")
    fill(tmp_path / "imagenette2-320" / "val")
    with pytest.raises(DataError, match="holds imagenette2-160, imagenette2-320; give one"):
        load(f"imagenette:{tmp_path}", train=False, preprocessing=PLAIN)


def test_imagenette_knows_its_labels_among_those_of_imagenet(tmp_path):
    fill(tmp_path, count=1)
    assert labels(load(f"imagenette:{tmp_path}?classes=imagenet", train=False, preprocessing=PLAIN)) == [0, 217, 701]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("order.txt", "n03888257\nn0\nn01440764\nn02102040\n"),
        ("order.json", json.dumps(["n03888257", "n0", "n01440764", "n02102040"])),
        (
            "index.json",
            json.dumps({"0": ["n03888257", "parachute"], "3": ["n02102040", "dog"], "2": ["n01440764", "fish"]}),
        ),
    ],
    ids=["lines", "list", "object"],
)
def test_a_file_of_classes_gives_the_label_order(tmp_path, name, text):
    fill(tmp_path / "images", count=1)
    (tmp_path / name).write_text(text)
    spec = f"imagefolder:{tmp_path / 'images'}?classes={tmp_path / name}"
    assert labels(load(spec, train=False, preprocessing=PLAIN)) == [2, 3, 0]


@pytest.mark.parametrize(
    ("text", "error", "claim"),
    [
        ("n01440764\nn02102040", DataError, "lists 2 classes, but not the folder n03888257"),
        (None, PathError, "order.json can't be read"),
        ("[", DataError, "neither a line for each class, nor a JSON list"),
        ("3", DataError, "neither a line for each class, nor a JSON list"),
        ('{"a": ["b"]}', DataError, "neither a line for each class, nor a JSON list"),
    ],
    ids=["incomplete", "missing", "cut-off", "number", "no-label"],
)
def test_a_file_of_classes_that_does_not_fit_is_refused(tmp_path, text, error, claim):
    fill(tmp_path / "images")
    name = "order.txt" if text and text.startswith("n") else "order.json"
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(error, match=claim):
        load(f"imagefolder:{tmp_path / 'images'}?classes={tmp_path / name}", train=False, preprocessing=PLAIN)


def test_holdout_keeps_every_kth_image_apart(tmp_path):
    fill(tmp_path, count=3)
    train, test = (
        load(f"imagefolder:{tmp_path}?holdout=3", train=train, preprocessing=PLAIN) for train in (True, False)
    )
    assert greys(test) == [2, 18, 34]
    assert greys(train) == [0, 1, 16, 17, 32, 33]


@pytest.mark.parametrize("every", ["1", "0", "-3", "half", "7"])
def test_a_holdout_that_leaves_nothing_is_refused(tmp_path, every):
    fill(tmp_path)
    with pytest.raises(DataError, match=f"holdout={every}: give a number from 2 to 6"):
        load(f"imagefolder:{tmp_path}?holdout={every}", train=True, preprocessing=PLAIN)


def test_a_holdout_of_a_split_is_refused(tmp_path):
    fill(tmp_path / "train")
    with pytest.raises(DataError, match="holdout is for folders that are not split yet"):
        load(f"imagefolder:{tmp_path}?holdout=3", train=True, preprocessing=PLAIN)


@pytest.mark.parametrize(("train", "count"), [(True, 1), (False, 0)], ids=["train", "test"])
def test_training_on_the_test_images_is_pointed_out(tmp_path, caplog, train, count):
    fill(tmp_path)
    with caplog.at_level(logging.WARNING):
        load(f"imagefolder:{tmp_path}", train=train, preprocessing=PLAIN)
    assert caplog.text.count("is not split") == count


def test_a_damaged_image_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / BIRDS[0] / "0.png").write_bytes(b"no image")
    images = load(f"imagefolder:{tmp_path}", train=False, preprocessing=PLAIN)
    with pytest.raises(DataError, match=f"{BIRDS[0]}/0.png can't be decoded"):
        images[0]


def test_a_class_without_images_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"not one folder of images a class: .*empty"):
        load(f"imagefolder:{tmp_path}", train=False, preprocessing=PLAIN)


def test_a_folder_of_folders_can_not_be_downloaded(tmp_path):
    with pytest.raises(DataError, match="names no data set that could be downloaded"):
        load(f"imagefolder:{tmp_path}", train=True, preprocessing=PLAIN, download=True)


def test_imagenette_is_fetched_once(tmp_path, monkeypatch):
    asked = []

    def fetch(root, download):
        asked.append(download)
        fill(root / "imagenette2" / "val")

    monkeypatch.setattr("elastic.data.folders.Imagenette", fetch)
    for _ in range(2):
        load(f"imagenette:{tmp_path}", train=False, preprocessing=PLAIN, download=True)
    assert asked == [True]


def test_sorted_wordnet_ids_are_the_label_order_of_imagenet(real_data):
    images = load(f"imagefolder:{real_data / 'imagenet-sample'}", train=False, preprocessing=PLAIN.with_(size=224))
    assert len(images.classes) == 1000
    assert [images.class_to_idx[name] for name in BIRDS] == [0, 217, 701]
