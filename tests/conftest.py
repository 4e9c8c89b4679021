"""One thread, bounded memory, and the hypothesis profile: what every test runs under."""

import contextlib
import functools
import os
import resource
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of processes that tests start: sums in two threads are not those in one

GIB = 2**30
MEMORY = 8 * GIB  # of private data; an address-space limit would also count what CUDA libraries only reserve
soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
if hard == resource.RLIM_INFINITY or hard > MEMORY:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, hard))

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    database=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")


with contextlib.suppress(ImportError, AttributeError):  # only time is lost if torch has it elsewhere one day
    # Torch makes all that it knows of ONNX anew for each export, which takes longer than a small network does.
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))


@pytest.fixture(autouse=True)
def _one_thread_and_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def real_data():
    folder = os.environ.get("ELASTIC_DATA")
    if not folder:
        pytest.skip("needs real data: set ELASTIC_DATA to the folder that holds them")
    return Path(folder)


@pytest.fixture
def timed_shortly(monkeypatch):
    """What is cut to a time is run for less than it takes to be sure: the numbers stand for any."""
    monkeypatch.setattr("elastic.latency.levels.LEAST_SECONDS", 0.05)


@pytest.fixture
def no_downloads(monkeypatch):
    def refuse(url, *_, **__):
        raise AssertionError(f"{url} was about to be fetched")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture(scope="session")
def digits():
    """The training part of scikit-learn's digits."""
    from elastic.data import Preprocessing, load

    return load("digits", train=True, preprocessing=Preprocessing.default("elastic/digits_resnet"))


@pytest.fixture(scope="session")
def trained(digits):
    """A small network that knows them; nobody may change it."""
    from elastic import models
    from elastic.training import Recipe, train

    torch.manual_seed(0)
    model = models.build("elastic/digits_resnet")
    train(model, digits, Recipe(epochs=6, shift=1, mirror=False, batch=64))
    return model
