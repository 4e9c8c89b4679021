"""Grown levels: what is trained later leaves what was trained before bit for bit as it was."""

import pytest
import torch

from elastic.checkpoint import load, load_state
from elastic.cutting import cut
from elastic.errors import InvalidRecipe
from elastic.metadata import read_header
from elastic.nesting import growing, nest
from elastic.nesting.family import family_of, head_of, shared_names
from elastic.planned import load_plan
from elastic.proofs import same_bits
from elastic.training import train

RECIPES = {
    "sgd with momentum": {"momentum": 0.9, "weight_decay": 0.1},
    "adamw with decay": {"optimiser": "adamw", "learning_rate": 0.01, "weight_decay": 0.5},
    "an average": {"average": 0.9},
    "bfloat16": {"precision": "bfloat16"},
}


@pytest.fixture(params=RECIPES.values(), ids=RECIPES)
def how(request, recipe):
    return recipe(**request.param, epochs=2)


def test_each_level_keeps_the_bits_and_logits_that_it_had_when_it_was_trained(
    pruned_file, few, how, tmp_path, monkeypatch
):
    done = []

    def spy(network, *arguments, **options):
        told = train(network, *arguments, **options)
        done.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return told

    monkeypatch.setattr(growing, "train", spy)
    output = tmp_path / "nested.safetensors"
    nest(pruned_file, output, few, how)
    assert len(done) == 3
    images = torch.stack([few[number][0] for number in range(20)])
    for level, state in enumerate(done):
        stored = load_state(output, level)
        assert all(same_bits(stored[name], tensor) for name, tensor in state.items())
        fresh = load(pruned_file, level)
        fresh.load_state_dict(state)
        assert torch.equal(load(output, level)(images), fresh(images))


def test_shared_weights_are_stored_once_and_all_of_them_were_trained(pruned_file, few, recipe, tmp_path):
    output = tmp_path / "nested.safetensors"
    nest(pruned_file, output, few, recipe())
    planned = load_plan(output)
    names = shared_names(planned.plan, with_head=False)
    whole, before = load_state(output), load_state(pruned_file)
    for level in (0, 1):
        smaller = cut(whole, planned.plan, planned.levels, level)
        stored = load_state(output, level)
        assert all(same_bits(stored[name], smaller[name]) for name in names)
        assert not torch.equal(stored["bn1.weight" if "bn1.weight" in stored else "fc.bias"], before["fc.bias"])
    assert all(float((whole[name] != before[name]).float().mean()) > 0.99 for name in names)
    assert output.stat().st_size < 1.01 * pruned_file.stat().st_size + _private_bytes(output)


def _private_bytes(path):
    planned = load_plan(path)
    shared = set(shared_names(planned.plan, with_head=False))
    states = (load_state(path, level) for level in range(len(read_header(path).levels) - 1))
    return sum(t.nbytes + 200 for state in states for name, t in state.items() if name not in shared)


@pytest.mark.parametrize(("epochs", "together", "wanted"), [(4, 0.75, 3), (4, 0.5, 2), (4, 0.0, 0), (1, 0.75, 0)])
def test_levels_are_first_trained_together_then_each_with_a_lower_rate(
    pruned_file, few, recipe, tmp_path, epochs, together, wanted
):
    how = recipe(epochs=epochs, learning_rate=0.01, schedule="constant", warm_up=0.0)
    told = nest(pruned_file, tmp_path / "one.safetensors", few, how, together=together)
    names = [level.name for level in read_header(pruned_file).levels]
    assert list(told) == (["all levels"] if wanted else []) + names
    assert len(told.get("all levels", ())) == wanted
    rate = 0.002 if wanted else 0.01
    for name in names:
        assert len(told[name]) == epochs - wanted
        assert told[name][0].learning_rate == pytest.approx(rate)
    assert read_header(tmp_path / "one.safetensors").recipe["nested"]["together"] == together


def test_a_larger_level_starts_from_what_it_was_with_the_smaller_one_inside(pruned_file, few, recipe, monkeypatch):
    starts = []

    def spy(network, *arguments, **options):
        starts.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(7)
        return ()

    monkeypatch.setattr(growing, "train", spy)
    monkeypatch.setattr(growing, "differing", lambda *arguments: [])
    family = family_of(pruned_file)
    growing.grow(family, few, recipe(), lambda level: {}, together=0)
    for level, start in enumerate(starts):
        stored = load_state(pruned_file, level)
        for name in shared_names(family.planned.plan, with_head=False):
            core = 0 if level == 0 else starts[level - 1][name].numel()
            assert int((start[name] == 7).sum()) == core
            assert int((start[name] == stored[name]).sum()) == start[name].numel() - core
        assert same_bits(start["fc.bias"], stored["fc.bias"])


@pytest.mark.parametrize("together", [1.0, -0.1])
def test_some_epochs_have_to_be_left(pruned_file, few, tmp_path, together):
    with pytest.raises(InvalidRecipe, match="is no share of the epochs that leaves some"):
        nest(pruned_file, tmp_path / "one.safetensors", few, together=together)


def test_the_head_is_the_last_layer(pruned_file):
    assert head_of(load_plan(pruned_file).plan) == "fc.weight"


def test_the_contract_says_how_levels_came_to_be(pruned_file, few, recipe, tmp_path):
    nest(pruned_file, tmp_path / "one.safetensors", few, recipe())
    header = read_header(tmp_path / "one.safetensors")
    assert header.contract == "nested"
    assert header.recipe["nested"]["way"] == "grow"
    assert [level.name for level in header.levels] == ["macs=25%", "macs=50%", "full"]
