"""Quantise: calibrated alone, trained, gone on with."""

import pytest
import torch
from torch.utils.data import Subset

from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.proofs import same_bits
from elastic.quantise import quantise, quantised_layers
from elastic.quantise.activations import RANGES
from elastic.quantise.quantising import Clipping
from elastic.recipes import Recipe

RECIPE = Recipe(epochs=2, shift=1, mirror=False, batch=64, learning_rate=0.02)


def top1(network):
    data = load("digits", train=False, preprocessing=Preprocessing.default("elastic/digits_resnet"))
    return evaluate(network, images_loader(data, 250)).top1


def test_without_a_recipe_eight_bits_are_as_good(trained, digits):
    network, epochs = quantise(trained, digits)
    assert epochs == ()
    assert top1(network) > top1(trained) - 1


def test_training_makes_good_what_few_bits_break(trained, digits):
    alone, _ = quantise(trained, digits, bits="W2A3", weights="learned")
    network, epochs = quantise(trained, digits, RECIPE, bits="W2A3", weights="learned")
    assert len(epochs) == 2
    assert top1(network) > top1(alone) + 5
    assert not network.training


@pytest.mark.parametrize("ranges", RANGES)
def test_what_goes_on_ends_with_the_same_bits(trained, digits, tmp_path, ranges):
    few, how = Subset(digits, range(192)), {"bits": "W4A4", "weights": "learned", "ranges": ranges}
    whole, _ = quantise(trained, few, RECIPE, **how)

    class Stopped(Exception):
        pass

    def stop(moment):
        if moment.done == 4:
            raise Stopped

    training = {"keep": tmp_path / "rounded.training"}
    with pytest.raises(Stopped):
        quantise(trained, few, RECIPE, training={**training, "progress": stop}, **how)
    again, _ = quantise(trained, few, RECIPE, training=training, **how)
    found = again.state_dict()
    assert all(same_bits(tensor, found[name]) for name, tensor in whole.state_dict().items())


@pytest.mark.parametrize("ranges", RANGES)
def test_training_in_bfloat16_bears_rounding_as_floats_do(trained, digits, ranges):
    few, how = Subset(digits, range(96)), {"bits": "W8A8", "weights": "learned", "ranges": ranges}
    recipe = RECIPE.model_copy(update={"epochs": 1, "batch": 48, "precision": "bfloat16", "learning_rate": 0.001})
    network, _ = quantise(trained, few, recipe, **how)
    assert all(tensor.dtype != torch.bfloat16 for tensor in network.state_dict().values())
    assert top1(network) > top1(trained) - 3


def test_a_price_draws_clips_down(trained, digits):
    few, how = Subset(digits, range(192)), {"ranges": "pact", "rate": 1.0}
    sums = []
    for price in (0.0, 1.0):
        network, _ = quantise(trained, few, RECIPE, price=price, **how)
        sums.append(sum(float(layer.input_quantiser.clip.detach()) for layer in quantised_layers(network).values()))
    assert sums[1] < 0.9 * sums[0]


def test_all_that_learns_in_quantisers_is_apart(trained, digits):
    network, _ = quantise(trained, digits, weights="learned", ranges="pact", calibration=50)
    hook = Clipping(quantised_layers(network))
    names = {id(p): name for name, p in network.named_parameters() if "quantiser" in name}
    assert {id(p) for p in hook.apart} == set(names)
    clips = torch.stack([layer.input_quantiser.clip for layer in quantised_layers(network).values()])
    assert float(hook.penalty().detach()) == pytest.approx(2e-4 * float(clips.detach().square().sum()))
