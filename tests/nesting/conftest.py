"""Files of pruned levels, and images to train them on."""

import pytest
import torch
from torch.utils.data import Subset

import elastic
from elastic import models
from elastic.data import Preprocessing, load
from elastic.training import Recipe

NETWORK = "elastic/digits_resnet"


@pytest.fixture(scope="session")
def digits():
    return load("digits", train=True, preprocessing=Preprocessing.default(NETWORK))


@pytest.fixture(scope="session")
def few(digits):
    return Subset(digits, range(100))


@pytest.fixture(scope="session")
def pruned_file(tmp_path_factory):
    """Return a file with levels macs=25%, macs=50% and full, of a network with random weights."""
    torch.manual_seed(0)
    pruned = elastic.prune(models.build(NETWORK), torch.zeros(1, 1, 8, 8), target=["macs=25%", "macs=50%"])
    path = tmp_path_factory.mktemp("pruned") / "net.safetensors"
    pruned.save(path, model_name=NETWORK)
    return path


@pytest.fixture
def recipe():
    """Return what makes a short recipe."""

    def make(**options):
        return Recipe(**{"epochs": 1, "batch": 32, "shift": 1, "mirror": False} | options)

    return make
