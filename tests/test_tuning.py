import pytest
import torch
from torch.utils.data import Subset

import elastic
from elastic import models
from elastic.data import Preprocessing, load
from elastic.errors import OutputExists
from elastic.proofs import same_bits
from elastic.recipes import Recipe
from elastic.tuning import fine_tune

NETWORK = "elastic/digits_resnet"
SHORT = Recipe(epochs=1, shift=1, mirror=False)


@pytest.fixture(scope="module")
def few():
    return Subset(load("digits", train=True, preprocessing=Preprocessing.default(NETWORK)), range(100))


@pytest.fixture
def net(tmp_path):
    """Return what saves a file of a network of some dtype, and the file's path."""

    def make(dtype=torch.float32):
        torch.manual_seed(0)
        pruned = elastic.prune(models.build(NETWORK).to(dtype), torch.zeros(1, 1, 8, 8, dtype=dtype), target="macs=50%")
        pruned.save(tmp_path / "net.safetensors", model_name=NETWORK)
        return tmp_path / "net.safetensors"

    return make


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_tuned_level_has_the_dtype_that_it_had_and_the_largest_its_bits(net, few, tmp_path, dtype):
    path, output = net(dtype), tmp_path / "tuned.safetensors"
    fine_tune(path, output, few, SHORT)
    before, after = elastic.load_state(path, 0), elastic.load_state(output, 0)
    assert {name: tensor.dtype for name, tensor in after.items()} == {name: t.dtype for name, t in before.items()}
    assert not torch.equal(after["fc.weight"], before["fc.weight"])
    whole = elastic.load_state(path)
    assert all(same_bits(tensor, whole[name]) for name, tensor in elastic.load_state(output).items())


def test_a_level_is_named_as_it_is_everywhere(net, few, tmp_path):
    path, output = net(), tmp_path / "tuned.safetensors"
    (epoch,) = fine_tune(path, output, few, SHORT, level="macs=50%")
    assert epoch.epoch == 1


def test_an_output_that_is_there_is_refused_before_any_work(net, few, tmp_path):
    (tmp_path / "tuned.safetensors").write_text("mine")
    with pytest.raises(OutputExists, match=r"tuned\.safetensors exists"):
        fine_tune(net(), tmp_path / "tuned.safetensors", few, Recipe(epochs=10**6))
