"""torch-pruning's graph as an oracle: the same units where it is right, and cases in which its pruner is wrong."""

import copy
import warnings

import pytest
import torch
import torch_pruning
from torchvision.models import get_model

from elastic.fitting import fitted
from elastic.masking import NormsOverWhatStays, masked
from elastic.proofs import relative_error
from elastic.tracing import trace
from elastic.tracing.removals import some_removed
from elastic.tracing.twin import random_twin
from tests.tracing.partitions import partition
from tests.wirings import WIRINGS
from tests.wirings.claims import NEAR, error_of, tensors
from tests.wirings.registry import conv, ended, images, mean

FAST = ["alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1",
        "mnasnet0_5", "efficientnet_b0", "googlenet"]  # fmt: skip
SLOW = ["vgg16", "vgg19_bn", "resnet50", "resnet101", "wide_resnet50_2", "resnext101_32x8d", "densenet121",
        "densenet169", "mobilenet_v3_large", "squeezenet1_0", "mnasnet1_3", "efficientnet_b2", "efficientnet_v2_s",
        "regnet_y_400mf", "regnet_x_800mf"]  # fmt: skip


def model_of(name):
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        return get_model(name, weights=None, **options)


@pytest.mark.parametrize(
    "name",
    [
        *FAST,
        *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
        "regnet_x_400mf",  # which has convolutions of two groups: one that is left looks like none
        pytest.param("regnet_y_1_6gf", marks=pytest.mark.slow),
    ],
)
def test_both_engines_tell_the_same_units_of_a_network(name):
    model, example = model_of(name), torch.randn(1, 3, 64, 64)
    theirs = trace(model, example, engine="torch-pruning", probe=False)
    assert partition(trace(model, example)) == partition(theirs)


# What their pruner makes of half of these: not what removing zeros should give, or nothing at all.
WRONG = ["flattened_from_nhwc", "shuffled_by_the_module", "mean_over_channels"]
CRASHES = [
    "gated_by_halves", "padded_shortcut_of_a_cifar_resnet", "buffer_per_channel", "shuffled_pixels", "shuffle_unit",
    "groups_of_three_sizes_on_one_stream", "instance_norm_with_both", "unbound_halves", "einsum_with_a_weight",
    "heads_of_fused_attention", "weight_norm", "parts_of_a_width_that_a_module_keeps", "chunks_of_chunks",
    "split_that_meets_again_shifted", "tokens_mixed", "standardised_weight", "split_after_a_concatenation",
]  # fmt: skip


def zeroed_and_pruned(name):
    """Return how far ours and theirs are from a network in which half of the units are zero, when these are removed.

    Their pruner scores by magnitude, so zeros are what it should remove.
    """
    torch.manual_seed(0)
    model, example = WIRINGS[name].make(), WIRINGS[name].example().double()
    model = random_twin(model).double()
    plan = trace(model, example)
    levels = some_removed(plan, plan.groups, 0.5)
    zeros = fitted(model, masked(model.state_dict(), plan, levels))
    return error_of(model, example, plan, levels), lambda: their_error(zeros, example)


def their_error(zeros, example):
    with warnings.catch_warnings(), NormsOverWhatStays():
        warnings.simplefilter("ignore")
        pruner = torch_pruning.pruner.BasePruner(
            (theirs := copy.deepcopy(zeros)),
            example,
            importance=torch_pruning.importance.MagnitudeImportance(),
            pruning_ratio=0.5,
            ignored_layers=[theirs.head] if hasattr(theirs, "head") else [],
        )
        pruner.step()
        assert sum(p.numel() for p in theirs.parameters()) < sum(p.numel() for p in zeros.parameters())
        with torch.no_grad():
            pairs = zip(tensors(theirs(example)), tensors(zeros(example)), strict=True)
            return max(relative_error(got, wanted) for got, wanted in pairs)


@pytest.mark.parametrize("name", WRONG)
def test_removing_zeros_changes_the_output_of_their_network_and_not_of_ours(name):
    ours, theirs = zeroed_and_pruned(name)
    assert ours < NEAR
    assert theirs() > 1e-3


@pytest.mark.parametrize("name", CRASHES)
def test_their_network_does_not_run_and_ours_does(name):
    ours, theirs = zeroed_and_pruned(name)
    assert ours < NEAR
    with pytest.raises((RuntimeError, IndexError, KeyError)):
        theirs()


def test_their_pruner_cuts_the_wrong_consumer_of_a_split():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)
        return mean(m.b(u) + m.c(v))

    net = ended(connect, 6, a=conv(3, 8), b=conv(4, 6), c=conv(4, 6))
    zeros = random_twin(net).double()
    for layer in (zeros.a, zeros.b, zeros.c, zeros.last):
        for parameter in layer.parameters():
            parameter.data[[0, 1, 6, 7] if layer is zeros.a else [0, 1, 2]] = 0
    assert their_error(zeros, images()().double()) > 1e-3
