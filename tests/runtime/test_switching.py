"""A live network is, at each of its levels, the network that the file has there."""

import copy

import numpy as np
import pytest
import torch

import elastic
from elastic import checkpoint, models
from elastic.errors import LiveNetwork, PathError, TargetError, UnknownName
from elastic.metadata import read_header, verify_level
from elastic.proofs import relative_error, same_bits
from elastic.recovery import repair
from elastic.tracing.twin import outputs, run
from tests.wirings import WIRINGS

EXAMPLE = torch.zeros(1, 1, 8, 8)

NETWORK = "elastic/digits_resnet"
TARGETS = ["macs=25%", "macs=50%"]
IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def path(tmp_path):
    """Return a file with levels macs=25%, macs=50% and full; norms of the smallest are its own."""
    torch.manual_seed(0)
    model = models.build(NETWORK).train()
    model(torch.randn(50, 1, 8, 8))  # statistics that are not all alike
    pruned = elastic.prune(model, torch.zeros(1, 1, 8, 8), target=TARGETS)
    small = pruned.level(0)
    with torch.no_grad():
        for parameter in small.parameters():
            if parameter.dim() == 1:
                parameter += torch.rand(parameter.shape)
    pruned.save(tmp_path / "n.safetensors", model_name=NETWORK, tuned={0: small.state_dict()})
    return tmp_path / "n.safetensors"


def is_same(state, other):
    return list(state) == list(other) and all(same_bits(state[name], other[name]) for name in state)


def is_level(net, path, level):
    """Return whether a network gives what the file's network of a level gives, and has its state dict."""
    alone = checkpoint.load(path, level)
    with torch.no_grad():
        error = relative_error(net(IMAGES), alone(IMAGES))
    return is_same(net.state_dict(), alone.state_dict()) and error < 1e-5


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:input's size at dim=1 does not match")  # a norm without tensors can't be told
@pytest.mark.parametrize("name", [name for name, wiring in WIRINGS.items() if not wiring.refused])
def test_any_network_switches_between_levels(name, tmp_path):
    wiring, path = WIRINGS[name], tmp_path / "n.safetensors"
    torch.manual_seed(0)
    model, example = wiring.make().eval().double(), _double(wiring.example())
    plan = elastic.trace(model, example)
    levels = np.random.default_rng(0).integers(0, 3, plan.units).astype(np.uint8)
    levels[[group.units[0] for group in plan.groups]] = 0
    levels[[group.units[-1] for group in plan.groups if len(group.units) > 1]] = 2
    elastic.save(path, model, plan, levels)
    alone = [checkpoint.load(path, level, model=copy.deepcopy(model)).eval() for level in range(3)]
    wanted = [outputs(run(each, example)) for each in alone]
    grown = elastic.load(path, 0, model=copy.deepcopy(model)).eval()
    grown.grow(2)
    for net in (elastic.load(path, model=copy.deepcopy(model)).eval(), grown):
        for level in (0, 2, 1, 0):
            net.switch(level)
            found = outputs(run(net, example))
            assert max(relative_error(a, b) for a, b in zip(found, wanted[level], strict=True)) < 1e-10
            assert is_same(net.state_dict(), alone[level].state_dict())


def _double(example):
    if isinstance(example, torch.Tensor):
        return example.double() if example.is_floating_point() else example
    if isinstance(example, dict):
        return {key: _double(value) for key, value in example.items()}
    return type(example)(_double(value) for value in example) if isinstance(example, list | tuple) else example


def test_a_network_switches_and_grows(path):
    net = elastic.load(path, "25%")
    assert is_level(net, path, 0)
    assert net.levels == ("macs=25%",)
    net.grow("50%")
    assert (net.level, net.levels) == ("macs=50%", ("macs=25%", "macs=50%"))
    assert is_level(net, path, 1)
    assert is_level(net.switch("25%"), path, 0)
    assert is_level(net.grow("full"), path, 2)
    assert is_level(net.switch(1), path, 1)


def test_it_keeps_its_class_and_names(path):
    net = elastic.load(path)
    assert isinstance(net, elastic.ElasticModel)
    assert isinstance(net, type(models.build(NETWORK)))
    assert set(dict(net.named_parameters())) == set(dict(models.build(NETWORK).named_parameters()))


def test_levels_are_views_of_the_largest(path):
    net = elastic.load(path)
    seen = {}
    for level in range(3):
        net.switch(level)
        for name, parameter in net.named_parameters():
            if parameter.dim() == 4:
                seen.setdefault(name, set()).add(parameter.untyped_storage().data_ptr())
    assert {len(pointers) for pointers in seen.values()} == {1}


def test_growing_reads_the_missing_shells_alone(path):
    net = elastic.load(path, 0)
    with torch.no_grad():
        net.conv1.weight.fill_(3.0)
    net.grow(2)
    levels = net._elastic.stores.layout.axes["conv1.weight"][0]
    weight = net.state_dict()["conv1.weight"]
    assert bool((weight[torch.from_numpy(levels == 0)] == 3).all())  # not read again
    stored = checkpoint.load_state(path, 2)["conv1.weight"]
    assert same_bits(weight[torch.from_numpy(levels > 0)], stored[torch.from_numpy(levels > 0)])


def test_training_a_level_trains_its_part_of_the_others(path):
    net = elastic.load(path)
    before = net.level_state(2)["conv1.weight"].clone()
    net.switch(0).train()
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    net(IMAGES).square().sum().backward()
    optimiser.step()
    small, whole = net.state_dict()["conv1.weight"], net.level_state(2)["conv1.weight"]
    kept = torch.from_numpy(net._elastic.stores.layout.axes["conv1.weight"][0] == 0)
    assert same_bits(whole[kept], small)
    assert not torch.equal(small, before[kept])
    assert same_bits(whole[~kept], before[~kept])


def test_parameters_of_a_level_are_the_same_objects_whenever_it_is_there(path):
    net = elastic.load(path, 0)
    first = [id(parameter) for parameter in net.parameters()]
    net.grow(2)
    net.switch(0)
    assert [id(parameter) for parameter in net.parameters()] == first


def test_norms_of_a_level_are_swapped(path):
    net = elastic.load(path)
    small = net.switch(0).bn.weight.clone() if hasattr(net, "bn") else next(p for p in net.parameters() if p.dim() == 1)
    net.switch(1)
    assert is_level(net, path, 1)
    assert small is not None


def test_a_deep_copy_is_a_network_of_its_own(path):
    net = elastic.load(path, "50%")
    other = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert is_level(other, path, 1)
    assert is_level(other.switch(0), path, 0)
    assert not net.switch(0).fc.weight.any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_all_levels_take_another_dtype(path, dtype):
    net = elastic.load(path, 1).to(dtype)
    for level in (0, 1):
        alone = checkpoint.load(path, level).to(dtype)
        assert is_same(net.switch(level).state_dict(), alone.state_dict())
    net.grow(2)
    assert net(IMAGES.to(dtype)).dtype == dtype


def test_a_state_dict_goes_into_a_level(path):
    net, state = elastic.load(path), {n: t + 1 for n, t in checkpoint.load_state(path, 0).items()}
    net.switch(0).load_state_dict(state)
    assert is_same(net.state_dict(), state)


def test_a_compiled_network_is_each_of_its_levels(path):
    net = elastic.load(path)
    compiled = torch.compile(net, backend="eager")
    with torch.no_grad():
        for level in (2, 0, 1):
            net.switch(level)
            assert relative_error(compiled(IMAGES), checkpoint.load(path, level)(IMAGES)) < 1e-5


def test_levels_that_are_not_loaded_or_not_there_are_told(path):
    net = elastic.load(path, "25%")
    with pytest.raises(UnknownName, match="level 'full' is not loaded, 'macs=25%' is the largest that is; grow to it"):
        net.switch("full")
    with pytest.raises(UnknownName, match="no level 'macs=10%'"):
        net.grow("macs=10%")


def test_a_deadline_chooses_the_largest_level_that_keeps_it(path):
    net = elastic.load(path)
    timings = net.measure(IMAGES, runs=5)
    assert list(timings) == ["macs=25%", "macs=50%", "full"]
    assert all(0 < timing.p50 <= timing.p99 for timing in timings.values())
    assert net.for_latency(1e9).level == net.level == "full"
    net._timings = {
        name: type(each)(name, 0.001 * n, 0.002 * n, 5) for n, (name, each) in enumerate(timings.items(), 1)
    }
    assert net.for_latency(0.0021, quantile="p50").level == net.level == "macs=50%"
    assert net.for_latency(0.0021).level == "macs=25%"
    with pytest.raises(
        TargetError, match=r"no level takes at most 0.1 ms \(p99\): the fastest, 'macs=25%', takes 2 ms"
    ):
        net.for_latency(0.0001)
    with pytest.raises(UnknownName, match="unknown quantile 'p95'; known: p50, p99"):
        net.for_latency(1, quantile="p95")


def test_a_folder_holds_all_levels_as_they_are_now(path, tmp_path):
    net = elastic.load(path)
    net.switch(0)
    with torch.no_grad():
        net.fc.weight.zero_()
    file = net.save_pretrained(tmp_path / "hub")
    for level in range(3):
        verify_level(file, level)
        assert is_same(checkpoint.load_state(file, level), net.level_state(level))
    other = elastic.ElasticModel.from_pretrained(tmp_path / "hub", level="25%")
    assert is_same(other.state_dict(), net.state_dict())
    card = (tmp_path / "hub" / "README.md").read_text()
    assert all(f"| {level.name} | {level.params:,} |" in card for level in read_header(file).levels)


def test_what_was_never_loaded_is_not_saved(path, tmp_path):
    with pytest.raises(PathError, match=r"only 1 of 3 levels of .* are loaded; grow to 'full' first"):
        elastic.load(path, 0).save_pretrained(tmp_path / "hub")
    with pytest.raises(PathError, match=r"has no model\.safetensors"):
        elastic.ElasticModel.from_pretrained(tmp_path)


def test_a_plain_copy_is_an_ordinary_network_that_can_be_pruned_again(tmp_path):
    torch.manual_seed(0)
    model = models.build("elastic/digits_resnet")
    elastic.prune(model, EXAMPLE, target=["macs=25%", "macs=50%"]).save(
        tmp_path / "net.safetensors", model_name="elastic/digits_resnet"
    )
    net = elastic.load(tmp_path / "net.safetensors").switch("50%")
    plain = net.plain()
    assert type(plain) is type(model)
    assert all(same_bits(tensor, net.state_dict()[name]) for name, tensor in plain.state_dict().items())
    plain.eval()
    x = torch.randn(4, 1, 8, 8)
    assert torch.allclose(plain(x), net(x), atol=1e-5)
    with torch.no_grad():
        plain.fc.bias += 1
    assert not plain.fc.bias.equal(net.fc.bias)
    assert elastic.prune(plain, EXAMPLE, target="macs=50%").cost().macs > 0


@pytest.mark.parametrize(
    "use",
    [
        lambda net, plan: elastic.trace(net, EXAMPLE),
        lambda net, plan: elastic.prune(net, EXAMPLE, target="macs=50%"),
        lambda net, plan: elastic.score(net, plan),
        lambda net, plan: elastic.fit(net, net.state_dict()),
        lambda net, plan: repair(net, net, plan, np.zeros(plan.units, np.uint8), EXAMPLE),
    ],
    ids=["trace", "prune", "score", "fit", "repair"],
)
def test_what_goes_by_places_refuses_a_live_network(tmp_path, use):
    model = models.build("elastic/digits_resnet")
    pruned = elastic.prune(model, EXAMPLE, target="macs=50%")
    pruned.save(tmp_path / "net.safetensors", model_name="elastic/digits_resnet")
    with pytest.raises(LiveNetwork, match=r"give `net\.plain\(\)`"):
        use(elastic.load(tmp_path / "net.safetensors"), pruned.plan)
