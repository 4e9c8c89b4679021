"""Companion: a second network in step with the first."""

import threading

import pytest
import torch
from torch import nn

from elastic.recovery.companion import Companion
from elastic.watching.calls import Watch

NET = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def calls_of(forward):
    found = []
    with Watch(lambda call: (found.append(call.name), NotImplemented)[1]):
        forward()
    return found


def test_it_gives_what_the_wanted_calls_make():
    assert calls_of(lambda: NET(X)) == ["linear", "relu", "linear"]
    companion = Companion(lambda: NET(X), {0, 2})
    assert torch.equal(companion.next(), NET[0](X))
    assert torch.equal(companion.next(), NET(X))
    companion.close()


def test_what_the_network_raises_reaches_who_asks():
    narrow = X[:, :2]
    companion = Companion(lambda: NET(narrow), {0})
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        companion.next()
    companion.close()


def test_asking_too_often_is_an_error():
    companion = Companion(lambda: NET(X), {0})
    companion.next()
    with pytest.raises(RuntimeError, match="ended before the call"):
        companion.next()
    companion.close()


def test_closing_ends_the_thread_wherever_it_is():
    before = threading.active_count()
    companion = Companion(lambda: NET(X), {0, 2})
    companion.next()
    companion.close()
    assert threading.active_count() == before
