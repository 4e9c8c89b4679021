"""One contract for the models of torchvision and some of timm: half the MACs go, and what is cut is what was masked.

Weights are random, norms too, so that nothing is hidden behind a gain of zero. Images are as small as a model allows.
"""

import gc

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model, list_models

from elastic.allocation import allocate
from elastic.costs import CostModel
from elastic.cutting import cut, regrow, shells
from elastic.fitting import fit, fitted
from elastic.importance import score
from elastic.masking import NormsOverWhatStays, masked
from elastic.proofs import relative_error, same_bits
from elastic.tracing import trace
from elastic.tracing.twin import meta_twin, outputs, random_twin

NAMES = list_models(module=torchvision.models)

FAST = {
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_small",
    "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5",
    "squeezenet1_1", "swin_t", "vit_b_32",
}  # fmt: skip

# 8 GiB don't hold these in float64 (weights, the masked copy, the regrown one): rounding is that of float32.
IN_FLOAT32 = {"vit_l_16", "vit_l_32"}

# 8 GiB don't hold these at all: shapes and costs only.
ON_META = {"regnet_y_128gf", "vit_h_14"}


@pytest.fixture(autouse=True)
def _nothing_left():
    """The largest of these come near the bound on memory, so nothing of one may wait for the collector in the next."""
    yield
    gc.collect()


def side(name):
    """Return the pixels of an image: 64, or what the model asks for."""
    if name.startswith(("maxvit", "swin")):
        return 224  # smaller images are padded to whole windows: attention would cost more than half of the MACs
    return {"inception_v3": 96, "vit_h_14": 56}.get(name, 64)


def build(name):
    options = {}
    if name in {"googlenet", "inception_v3"}:
        options = {"aux_logits": False, "init_weights": False}
    if name.startswith("vit"):
        options = {"image_size": side(name)}
    # On the meta device no time goes into weights that are replaced; RegNet computes its widths with tensors.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        model = get_model(name, weights=None, **options).eval()
    if name in ON_META:
        return model.to("meta")
    return random_twin(model).to(torch.float32 if name in IN_FLOAT32 else torch.float64)


def marked(names):
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in names]


def image(model, name):
    weight = next(model.parameters())
    pixels = torch.randn(1, 3, side(name), side(name), generator=torch.Generator().manual_seed(1))
    return pixels.to(weight.device, weight.dtype)


def counted_macs(model, x):
    counter = FlopCounterMode(display=False)
    with counter:
        meta_twin(model)(x.to("meta", torch.float32))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", marked(n for n in NAMES if n not in ON_META))
def test_half_of_a_network_goes_and_nothing_else(name):
    model = build(name)
    halves(model, image(model, name), 1e-3 if name in IN_FLOAT32 else 1e-5)


def halves(model, x, tolerance=1e-5):
    """Check all that should hold of a network of which half of the MACs are cut."""
    plan = trace(model, x)
    levels = allocate(plan, score(model, plan), target="macs=50%")
    cost, dense = CostModel(plan).cost(levels == 0), CostModel(plan).dense
    state = model.state_dict()
    core = cut(state, plan, levels)
    small = fitted(model, core, plan.sizes(levels))

    assert 0.495 * dense.macs < cost.macs <= 0.5 * dense.macs
    assert cost.macs == counted_macs(small, x)
    assert cost.params == sum(p.numel() for p in small.parameters())
    assert cost.bytes == len(save(core, metadata={"format": "pt"}))
    grown = regrow(core, shells(state, plan, levels))
    assert all(same_bits(grown[key], value) for key, value in state.items())
    del grown, core
    with torch.no_grad(), NormsOverWhatStays():
        got = outputs(small(x))
        wanted = outputs(fit(model, masked(state, plan, levels))(x))
    assert max(relative_error(a, b) for a, b in zip(got, wanted, strict=True)) < tolerance


SEGMENTATION = list_models(module=torchvision.models.segmentation)


@pytest.mark.parametrize(
    "name", [name if name.startswith("lraspp") else pytest.param(name, marks=pytest.mark.slow) for name in SEGMENTATION]
)
def test_half_of_a_segmentation_network_goes(name):
    with torch.device("meta"):
        model = get_model(name, weights=None, weights_backbone=None, num_classes=5).eval()
    halves(random_twin(model).double(), torch.randn(1, 3, 64, 64, dtype=torch.float64))


TIMM = {
    "vit_tiny_patch16_224": 64, "swin_tiny_patch4_window7_224": 56, "res2net50_14w_8s": 64, "mixnet_s": 64,
    "levit_128s": 224, "convnextv2_atto": 64, "resnetv2_50": 64, "mobileone_s0": 64, "mixer_s32_224": 224,
}  # fmt: skip
QUICK = {"vit_tiny_patch16_224", "res2net50_14w_8s", "mixnet_s"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TIMM]
)
def test_half_of_a_timm_network_goes(name):
    timm = pytest.importorskip("timm")
    options = {"img_size": TIMM[name]} if name.startswith(("vit", "swin")) else {}
    model = timm.create_model(name, pretrained=False, num_classes=10, **options).eval()
    halves(random_twin(model).double(), torch.randn(1, 3, TIMM[name], TIMM[name], dtype=torch.float64))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ON_META))
def test_half_of_the_largest_networks_can_be_counted(name):
    model = build(name)
    x = image(model, name)
    plan = trace(model, x, probe=False)
    levels = allocate(plan, np.random.default_rng(0).random(plan.units), target="macs=50%")
    cost = CostModel(plan).cost(levels == 0)
    small = fitted(model, cut(model.state_dict(), plan, levels), plan.sizes(levels))
    assert cost.macs == counted_macs(small, x)
    assert cost.params == sum(p.numel() for p in small.parameters())
