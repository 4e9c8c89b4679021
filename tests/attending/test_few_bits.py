"""Attention and few bits together: rounds that round, cuts that are what they were masked, levels in several bits."""

import pytest
import torch
from torch.utils.data import Subset

from elastic import checkpoint
from elastic.attending import alternation_of, prune_by_attention
from elastic.attending.report import report_of
from elastic.data import Preprocessing, divided, evaluate, images_loader, load
from elastic.errors import InvalidBits
from elastic.metadata import read_header
from elastic.quantise import quantised_layers
from elastic.recipes import Recipe
from elastic.reporting import write_report

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)
RECIPE = Recipe(epochs=1, shift=1, mirror=False, batch=64, learning_rate=0.02, label_smoothing=0.0, distil=0.9)
BITS = ["W8A8", "W4A8"]


@pytest.fixture(scope="module")
def tested():
    return images_loader(load("digits", train=False, preprocessing=Preprocessing.default(NETWORK)), 250)


@pytest.fixture(scope="module")
def done(trained, digits, tested):
    learned, held_out = divided(digits, 0.1, 0)
    return prune_by_attention(
        trained, EXAMPLE, Subset(learned, range(320)), RECIPE, target=["macs=50%", "macs=75%"], fine_tune=RECIPE,
        validation=held_out, alternation=alternation_of(rounds=1, recovery=1, images=0.5), bits=BITS,
        measure=lambda network: evaluate(network, tested).top1,
    )  # fmt: skip


def test_each_width_has_a_level_of_each_bits(done):
    pruned, _ = done
    assert pruned.names == ("macs=50%-W4A8", "macs=50%-W8A8", "macs=75%-W4A8", "macs=75%-W8A8", "full")
    assert [pruned.cost(level).macs for level in (0, 2)] == [pruned.cost(level).macs for level in (1, 3)]


def test_what_is_settled_is_what_is_cut_with_rounding_in_place(done):
    _, stages = done
    assert [stage.top1["settled"] - stage.top1["cut"] for stage in stages] == [0, 0]


def test_networks_round_to_their_bits_and_are_better_than_chance_by_far(done):
    _, stages = done
    for stage in stages:
        for each, bits in ((stage, "W8A8"), (stage.others[0], "W4A8")):
            assert {str(layer.bits) for layer in quantised_layers(each.network).values()} == {bits}
            assert each.top1["tuned"] > 80, each.top1


def test_clips_and_steps_have_learned_beside_the_weights(done, trained):
    _, stages = done
    recovered = stages[0].rounds[0]
    assert len(recovered.attention) == 1
    first, last = (stage.network for stage in stages)
    steps = [
        [layer.input_quantiser.step().item() for layer in quantised_layers(each).values()] for each in (first, last)
    ]
    assert all(a != b for a, b in zip(*steps, strict=True))


def test_the_file_has_the_networks_bit_for_bit_in_the_bytes_that_it_tells(done, trained, tmp_path):
    pruned, stages = done
    path = tmp_path / "n.safetensors"
    pruned.save(path, model_name=NETWORK)
    levels = {level.name: level for level in read_header(path).levels}
    images = torch.randn(4, 1, 8, 8)
    for stage in stages:
        for each in (stage, *stage.others):
            found = checkpoint.load(path, f"{stage.aim.name}-{each.bits}")
            with torch.no_grad():
                assert torch.equal(found(images), each.network.eval()(images))
    four, eight, *_ = (levels[name].bytes for name in pruned.names)
    assert four < 0.7 * eight
    assert torch.equal(checkpoint.load(path)(images), trained(images))


def test_bits_that_are_none_are_refused_before_any_training(trained, digits):
    with pytest.raises(InvalidBits, match="9 bits"):
        prune_by_attention(trained, EXAMPLE, digits, RECIPE, target="macs=50%", bits="W9A8")


def test_the_report_has_accuracy_against_bytes_over_bits_and_pruning(done, tmp_path):
    pruned, stages = done
    page = report_of(pruned, stages, 98.0, NETWORK)
    levels, curves = (next(part for part in page.parts if part.name == name) for name in ("levels", "accuracy-bytes"))
    assert [row[0] for row in levels.rows] == [*pruned.names][::-1]
    assert set(curves.lines) == {"float", "W8A8", "W4A8", "Pareto front"}
    pruned.save(tmp_path / "n.safetensors", model_name=NETWORK)
    assert [row[2] for row in levels.rows] == [each.bytes for each in read_header(tmp_path / "n.safetensors").levels][
        ::-1
    ]
    assert write_report(page, tmp_path / "page").exists()
