"""Quantised networks, made once."""

import pytest
import torch

from elastic.data import Preprocessing, images_loader, load
from elastic.quantise import aligned, quantised


@pytest.fixture(scope="session")
def tested():
    """All test images of digits."""
    data = load("digits", train=False, preprocessing=Preprocessing.default("elastic/digits_resnet"))
    return torch.cat([images for images, _ in images_loader(data, 250)])


@pytest.fixture(scope="session")
def batches(digits):
    return [images for images, _ in images_loader(digits, 250, limit=500)]


@pytest.fixture(scope="session")
def rounded_digits(trained, batches):
    """The trained network with eight bits and aligned biases; nobody may change it."""
    return aligned(quantised(trained, batches), batches[0][:1])
