"""A live network at a level of few bits is the network that the file has there, bit for bit, and leaves no trace."""

import copy
import gc
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

import elastic
from elastic import checkpoint, models
from elastic.errors import FileFormatError, LiveNetwork
from elastic.metadata import read_header, verify_level
from elastic.proofs import same_bits
from elastic.quantise import quantised, quantised_layers
from tests.wirings import WIRINGS

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)
IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
NAMES = ("small", "middle", "large", "full-W8A8", "full")
FEW = (0, 1, 3)  # of levels


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return a file with levels of eight bits, of four with a head of floats, of floats, of eight bits, of floats."""
    torch.manual_seed(0)
    model, path = models.build(NETWORK).train(), tmp_path_factory.mktemp("live") / "few.safetensors"
    model(torch.randn(50, 1, 8, 8))  # statistics that are not all alike
    pruned = elastic.prune(model.eval(), EXAMPLE, target=["macs=25%", "macs=50%", "macs=75%"])
    few = {
        0: quantised(pruned.level(0), [IMAGES], "W8A8"),
        1: quantised(pruned.level(1), [IMAGES], "W4A4,fc=float"),
        3: quantised(pruned.whole, [IMAGES], "W8A8"),
    }
    pruned.save(path, model_name=NETWORK, names=NAMES, made=few, tuned={}, input={})
    return path


@pytest.fixture(scope="module")
def alone(path):
    """Return the network of each level; those of floats live too, whose sums are in another order than the file's."""
    return [checkpoint.load(path, n) if n in FEW else elastic.load(path).switch(n) for n in range(len(NAMES))]


@pytest.fixture(scope="module")
def shared_net(path):
    return elastic.load(path)


def is_same(state, other):
    return list(state) == list(other) and all(same_bits(state[name], other[name]) for name in state)


@runs(max_examples=10)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4))
@torch.no_grad()
def test_any_order_of_switching_gives_the_bits_of_each_level(shared_net, alone, order):
    for level in order:
        assert torch.equal(shared_net.switch(level)(IMAGES), alone[level](IMAGES))


@pytest.mark.parametrize("level", range(5), ids=NAMES)
def test_its_state_dict_is_that_of_the_level(path, shared_net, level):
    assert is_same(shared_net.switch(level).state_dict(), checkpoint.load(path, level).state_dict())
    assert is_same(shared_net.level_state(level), elastic.load_state(path, level))


def test_levels_have_bits_of_their_own(shared_net):
    found = [{str(layer.bits) for layer in quantised_layers(shared_net.switch(level)).values()} for level in FEW]
    assert found == [{"W8A8"}, {"W4A4"}, {"W8A8"}]
    assert type(shared_net.switch("middle").fc) is torch.nn.Linear


@torch.no_grad()
def test_growing_begins_and_ends_at_any_level(path, alone):
    net = elastic.load(path, 0)
    for level in range(5):
        net.grow(level)
        assert torch.allclose(net(IMAGES), alone[level](IMAGES), atol=1e-6)
        for below in (each for each in FEW if each <= level):
            assert torch.equal(net.switch(below)(IMAGES), alone[below](IMAGES))
    assert all(parameter.requires_grad for parameter in net.switch("full").parameters())


def test_nothing_is_left_of_a_level_that_was_visited(path):
    net = elastic.load(path)
    before = bytes_alive()
    for level in FEW:
        net.switch(level)
    net.switch("full")
    assert bytes_alive() <= before  # what other tests left may go meanwhile


def test_memory_is_that_of_the_file_and_at_few_bits_one_level_more(path):
    net = elastic.load(path)
    held = [*net._elastic.stores.tensors.values(), *net.parameters(), *net.buffers()]
    held += [tensor for level in net._elastic.packed.values() for tensor in level.kept.values()]
    assert bytes_of(held) < 1.05 * path.stat().st_size
    before = bytes_alive()
    net.switch("full-W8A8")
    assert bytes_alive() - before < 1.05 * read_header(path).levels[-1].bytes


def bytes_alive():
    gc.collect()
    kinds = (torch.Tensor, torch.nn.Parameter)  # by class, which asks no module; not what exporters make up
    return bytes_of([each for each in gc.get_objects() if type(each) in kinds and each.device.type == "cpu"])


def bytes_of(tensors):
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def test_what_was_trained_of_floats_is_there_behind_few_bits(path):
    net = elastic.load(path).train()
    first = [id(parameter) for parameter in net.parameters()]
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    net(IMAGES).square().sum().backward()
    optimiser.step()
    wanted = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.eval().switch("small").switch("full")
    assert is_same(net.state_dict(), wanted)
    assert [id(parameter) for parameter in net.parameters()] == first
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_few_bits_are_not_trained_nor_loaded_into(path):
    net = elastic.load(path).switch("small")
    with pytest.raises(LiveNetwork, match="level 'small' is of few bits and can't be trained; switch to a level of fl"):
        net.train()
    with pytest.raises(LiveNetwork, match="level 'small' is of few bits and can't be changed"):
        net.load_state_dict(net.state_dict())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    with pytest.raises(LiveNetwork, match=r"'small' is of few bits and can't be trained; call `eval\(\)` before"):
        net.switch("full").train().switch("small")
    assert (net.level, net.training) == ("full", True)


@torch.no_grad()
def test_a_deep_copy_at_few_bits_has_all_levels(path, alone):
    net = elastic.load(path).switch("middle")
    other = copy.deepcopy(net)
    net.switch("full").fc.weight.zero_()
    for level in (1, 4, 0):
        assert torch.equal(other.switch(level)(IMAGES), alone[level](IMAGES))
    assert is_same(other.plain().state_dict(), alone[0].state_dict())
    assert all(parameter.requires_grad for parameter in other.plain().parameters())


@torch.no_grad()
@pytest.mark.parametrize("at", [0, 4], ids=["few bits", "floats"])
def test_levels_take_another_dtype_wherever_the_network_is(path, at):
    net = elastic.load(path).switch(at).double()
    for level in (1, 4, 0):
        wanted = checkpoint.load(path, level).double()
        assert is_same(net.switch(level).state_dict(), wanted.state_dict())
    assert torch.equal(net(IMAGES.double()), wanted(IMAGES.double()))


@pytest.mark.slow
@torch.no_grad()
def test_a_compiled_network_is_each_of_them(path, alone):
    net = elastic.load(path, "middle")
    compiled = torch.compile(net, backend="eager")
    for level in (0, 1):
        net.switch(level)
        assert torch.equal(compiled(IMAGES), alone[level](IMAGES))


def test_deadlines_choose_among_them(path):
    net = elastic.load(path, 1)
    assert list(net.measure(IMAGES, runs=2)) == ["small", "middle"]
    assert net.for_latency(1e9).level == net.level == "middle"


def test_a_folder_keeps_them_packed(path, tmp_path):
    net = elastic.load(path).switch("small")
    file = net.save_pretrained(tmp_path / "hub")
    assert net.level == "small"
    for old, new in zip(read_header(path).levels, read_header(file).levels, strict=True):
        verify_level(file, new.name)
        assert (old.digest, old.own, old.absent) == (new.digest, new.own, new.absent)


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    ["concatenation", "dense_block", "tied_embedding", "weight_used_both_ways", "head_shared_by_maps_of_two_sizes"],
)
def test_wirings_switch_to_the_bits_of_levels_alone(name, tmp_path):
    model, example, path = WIRINGS[name].make().eval(), WIRINGS[name].example(), tmp_path / "n.safetensors"
    plan = elastic.trace(model, example)
    levels = np.random.default_rng(0).integers(0, 3, plan.units).astype(np.uint8)
    levels[[group.units[0] for group in plan.groups]] = 0
    elastic.save(path, model, plan, levels)
    tied = [f"{each.removesuffix('.weight')}=float" for each in plan.aliases]  # of several names, which none can lack
    small, middle = (checkpoint.load(path, level, model=copy.deepcopy(model)) for level in (0, 1))
    few = {0: quantised(small, [example], ["W8A8", *tied]), 1: quantised(middle, [example], ["W3A5", *tied])}
    elastic.save(path, model, plan, levels, made=few, overwrite=True)
    net = elastic.load(path, model=copy.deepcopy(model))
    for level in (0, 1, 2, 1, 0):
        alone = checkpoint.load(path, level, model=copy.deepcopy(model))
        assert is_same(net.switch(level).state_dict(), alone.state_dict())
        found, wanted = net(example), alone(example)
        assert torch.equal(found, wanted) if level < 2 else torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda recipe: recipe.pop("quantised"), LiveNetwork, "level 'small' .* not said to be weights of few bits"),
        (lambda recipe: recipe["quantised"]["small"]["fc"].update(shape=[10, 1]), FileFormatError, "another shape"),
        (lambda recipe: recipe["quantised"]["small"].pop("fc"), LiveNetwork, "level 'small'"),
    ],
    ids=["of another make", "shape", "missing"],
)
def test_what_a_file_says_otherwise_of_its_levels_is_refused(path, tmp_path, change, error, told):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    described = json.loads(header["__metadata__"]["elastic"])
    change(described["recipe"])
    header["__metadata__"]["elastic"] = json.dumps(described)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (tmp_path / "n.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(error, match=told):
        elastic.load(tmp_path / "n.safetensors")
