"""The public names: all there, and imported no sooner than they are used."""

import subprocess
import sys

import pytest

import elastic


@pytest.mark.parametrize("name", elastic.__all__)
def test_every_public_name_is_there(name):
    assert getattr(elastic, name) is not None
    assert name in dir(elastic)


@pytest.mark.parametrize("name", [name for name in elastic.__all__ if not name.startswith("_")])
def test_every_public_name_says_what_it_is(name):
    assert getattr(elastic, name).__doc__


def test_a_name_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(AttributeError, match="module 'elastic' has no attribute 'prun'"):
        elastic.prun


HEAVY = "{'torch', 'torchvision', 'torch_pruning', 'sklearn', 'scipy', 'matplotlib', 'onnx', 'onnxruntime', 'typer'}"


@pytest.mark.parametrize("module", ["elastic", "elastic.metadata", "elastic.errors", "elastic.version"])
def test_importing_it_imports_nothing_heavy(module):
    script = f"import sys, {module}; found = {HEAVY} & set(sys.modules); sys.exit(str(found) if found else 0)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
