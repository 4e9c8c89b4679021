import os
from pathlib import Path

import pytest
import torch


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
def no_downloads(monkeypatch):
    def refuse(url, *_, **__):
        raise AssertionError(f"{url} was about to be fetched")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
