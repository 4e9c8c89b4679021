"""Gates on weights: which, and that they change nothing at first."""

import pytest
import torch
from torch import nn

from elastic import models
from elastic.errors import InvalidRecipe, UnknownName
from elastic.gates import OPENINGS
from elastic.gates.weights.gated import layers_of, put_gates, take_gates
from elastic.proofs import relative_error
from tests.wirings import WIRINGS

NETWORKS = ["chain", "residual", "concatenation", "depthwise", "grouped", "transposed_grouped"]


def made(name):
    torch.manual_seed(0)
    return WIRINGS[name].make().double().eval(), WIRINGS[name].example().double()


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_gates_change_nothing_at_first(name, opening):
    model, example = made(name)
    with torch.no_grad():
        before = model(example)
        put_gates(model, opening=opening)
        assert relative_error(model.eval()(example), before) < 1e-6


def test_every_linear_layer_and_convolution_has_gates_unless_asked_otherwise():
    model = models.build("elastic/self_pruning")
    names = ["features.0.weight", "features.4.weight", "classifier.0.weight", "classifier.3.weight"]
    assert list(layers_of(model)) == names
    assert list(layers_of(model, ["classifier.*", "features.4"])) == names[1:]


def test_what_is_gated_learns_through_its_gates():
    model, example = made("chain")
    gates = put_gates(model, ["b"])
    model.train()(example).square().sum().backward()
    (_, found) = gates["b.weight"]
    assert (found.logits.grad != 0).all()
    assert model.a.weight.grad is not None


@pytest.mark.parametrize("opening", OPENINGS)
def test_what_is_taken_off_computes_what_the_gated_network_does_and_is_plain(opening):
    model, example = made("depthwise")
    names = list(model.state_dict())
    gated = put_gates(model, opening=opening)
    with torch.no_grad():
        for number, (_, gates) in enumerate(gated.values()):
            gates.logits.copy_(torch.randn(gates.logits.shape, generator=torch.Generator().manual_seed(number)))
        before = model.eval()(example)
        take_gates(gated, {name: torch.ones_like(gates.logits).bool() for name, (_, gates) in gated.items()})
        assert torch.equal(model(example), before)
    assert list(model.state_dict()) == names
    assert type(model.a) is nn.Conv2d


def test_a_closed_gate_leaves_an_exact_zero():
    model, _ = made("chain")
    gated = put_gates(model, ["a"])
    mask = torch.ones(8, 3, 3, 3, dtype=torch.bool)
    mask[2, 1] = False
    take_gates(gated, {"a.weight": mask})
    assert torch.equal(model.a.weight != 0, mask)
    assert not torch.signbit(model.a.weight[~mask]).any()


@pytest.mark.parametrize("pattern", ["nothing", "norm"])
def test_a_pattern_that_matches_no_layer_is_refused(pattern):
    with pytest.raises(
        UnknownName, match=f"no linear layer or convolution is called '{pattern}'; there are: a, b, head"
    ):
        put_gates(made("chain")[0], [pattern])


def test_a_tied_weight_is_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 2))
    model[2].weight = model[0].weight
    with pytest.raises(InvalidRecipe, match=r"0\.weight is tied to 2\.weight"):
        put_gates(model)
    assert list(put_gates(model, ["3"])) == ["3.weight"]


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.orthogonal])
def test_a_weight_that_is_computed_is_refused(norm):
    model = nn.Sequential(norm(nn.Linear(3, 3)), nn.Linear(3, 2))
    with pytest.raises(InvalidRecipe, match=r"0\.weight is computed from other parameters"):
        put_gates(model)


def test_a_refusal_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(3, 3), nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    with pytest.raises(InvalidRecipe):
        put_gates(model)
    assert list(model[0].state_dict()) == ["weight", "bias"]


def test_an_unknown_opening_is_refused():
    with pytest.raises(UnknownName, match="unknown opening 'soft'"):
        put_gates(made("chain")[0], opening="soft")
