"""Second order, against one backward pass a sample and against the whole Hessian."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from elastic.errors import DataError
from elastic.importance import GaussNewton, Hutchinson, Obd, per_sample, score, vmapped
from elastic.importance.batches import cross_entropy
from elastic.importance.per_sample import mean_squared_gradients
from tests.importance import plain

NETWORKS = (
    "chain", "residual", "depthwise", "depthwise_with_a_multiplier", "grouped", "dense_block", "flattened",
    "shared_layer", "transposed", "prelu_per_channel", "group_norm", "instance_norm", "layer_norm_channels_last",
    "concatenated_with_itself", "norm_without_weights",
)  # fmt: skip


def saliency(model, data):
    squares = plain.squared_gradients_by_sample(model, data, plain.weights(model))
    return {name: weight.detach() ** 2 * squares[name] / 2 for name, weight in plain.weights(model).items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_obd_is_what_one_backward_pass_a_sample_gives(name):
    model, plan = plain.network(name)
    data = plain.data_for(model)
    expected = plain.over_units(saliency(model, data), plan)
    np.testing.assert_allclose(score(model, plan, "hessian", data=data), expected, rtol=1e-8, atol=1e-30)


def test_a_tied_weight_squares_the_sum_of_what_its_uses_give():
    model, plan = plain.network("tied_weights")
    data = plain.data_for(model, 6)
    np.testing.assert_allclose(Obd(data)(model, plan), plain.over_units(saliency(model, data), plan), rtol=1e-8)


@pytest.mark.parametrize("reduction", ["mean", "max"])
def test_obd_is_reduced_as_asked(reduction):
    model, plan = plain.network("chain")
    data = plain.data_for(model)
    expected = plain.over_units(saliency(model, data), plan, reduction)
    np.testing.assert_allclose(score(model, plan, "hessian", data=data, reduction=reduction), expected, rtol=1e-8)


LAYERS = {
    "strided": nn.Conv2d(3, 4, 3, stride=2, padding=1),
    "dilated": nn.Conv2d(3, 4, 3, dilation=2, padding=(2, 1)),
    "same padding, even kernel": nn.Conv2d(3, 4, 4, padding="same"),
    "reflected padding": nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    "strided 1x1": nn.Conv2d(3, 4, 1, stride=2),
    "rows only": nn.Conv2d(3, 4, (1, 3), stride=(1, 2), padding=(0, 1)),
    "one axis": nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3, stride=2, padding=1, dilation=2)),
    "three axes": nn.Sequential(nn.Unflatten(1, (3, 1)), nn.Conv3d(3, 4, (1, 3, 3))),
    "linear over places": nn.Sequential(nn.Flatten(2), nn.Linear(36, 4)),
    "rms norm": nn.Sequential(nn.Flatten(2), nn.RMSNorm(36)),
    "layer norm over two axes": nn.LayerNorm([6, 6]),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_every_kind_of_layer_has_the_gradients_of_single_samples(layer):
    model = nn.Sequential(layer, nn.Flatten(), nn.GELU(), nn.LazyLinear(4)).double()
    model(torch.randn(2, 3, 6, 6, dtype=torch.float64))
    assert_equal_to_the_loop(model, plain.data_for(model))


def assert_equal_to_the_loop(model, data):
    names = dict(model.named_parameters())
    expected = plain.squared_gradients_by_sample(model.eval(), data, names)
    found = mean_squared_gradients(model, names, data, cross_entropy)
    assert set(found) == set(expected)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-7, atol=1e-18, msg=lambda text, n=name: f"{n}: {text}")


WHOLE = {
    "a ConvNeXt, whose layers' scales are multiplied": lambda: ConvNeXt(
        [CNBlockConfig(8, 12, 1), CNBlockConfig(12, None, 1)], num_classes=4
    ),
    "a ViT, whose attention has packed projections": lambda: VisionTransformer(16, 8, 1, 2, 8, 16, num_classes=4),
    "a Swin, whose windows are samples of their own": lambda: SwinTransformer(
        [4, 4], 8, [2, 1], [2, 2], [2, 2], num_classes=4
    ),
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_whole_networks_have_the_gradients_of_single_samples(make):
    model = make().double().eval()
    assert_equal_to_the_loop(model, plain.data_for(model, 3, 16, 16, sizes=(3, 2)))


def test_samples_along_another_axis_are_found():
    held = {"embed": nn.Linear(3, 6), "mix": nn.Linear(6, 6), "norm": nn.LayerNorm(6), "head": nn.Linear(6, 4)}
    model = plain.Wired(lambda m, x: m.head(m.norm(m.mix(F.gelu(m.embed(x.transpose(0, 1))))).mean(0)), **held).double()
    assert_equal_to_the_loop(model, plain.data_for(model, 6, 3, sizes=(6, 3)))


def test_an_output_that_a_relu_overwrites_has_its_own_gradient():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 4)).double()
    assert_equal_to_the_loop(model, plain.data_for(model))


@pytest.mark.parametrize("name", ["chain", "depthwise", "grouped", "group_norm", "layer_norm_channels_last"])
def test_layers_of_common_kinds_are_done_in_closed_form(name, monkeypatch):
    monkeypatch.delattr(per_sample, "vmapped_squares")
    model, plan = plain.network(name)
    assert (score(model, plan, "hessian", data=plain.data_for(model)) > 0).any()


def test_one_backward_pass_a_batch_is_made(monkeypatch):
    model, plan = plain.network("chain")
    passes = []
    original = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *args, **kwargs: passes.append(1) or original(*args, **kwargs))
    Obd(plain.data_for(model, sizes=(4, 3)))(model, plan)
    assert len(passes) == 2


def test_batches_of_one_sample_will_do():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4)).double()
    assert_equal_to_the_loop(model, plain.data_for(model, sizes=(1, 1, 1)))


def test_samples_that_do_not_fit_in_memory_together_are_taken_in_turn(monkeypatch):
    monkeypatch.setattr(per_sample, "IN_CACHE", 3000)
    monkeypatch.setattr(vmapped, "AT_ONCE", 1000)
    model, _ = plain.network("transposed")
    assert_equal_to_the_loop(model, plain.data_for(model, sizes=(7,)))


def test_a_network_that_asks_its_values_needs_batches_of_one():
    class Asking(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))
            self.head = nn.Linear(4, 4)

        def forward(self, x):
            return self.head(x * self.scale if x.sum() > 0 else x * self.scale * 2)

    model = Asking().double()
    names = dict(model.named_parameters())
    with pytest.raises(DataError, match=r"scale .* give batches of one sample"):
        mean_squared_gradients(model, names, plain.data_for(model, 4), cross_entropy)
    assert_equal_to_the_loop(model, plain.data_for(model, 4, sizes=(1, 1)))


def exact(model, data, curvature):
    """h w^2 / 2 with the diagonal of a whole matrix [elements, elements]."""
    sizes = [weight.numel() for weight in plain.weights(model).values()]
    parts = curvature(model, data).diagonal().split(sizes)
    return {
        name: part.reshape(weight.shape) * weight.detach() ** 2 / 2
        for (name, weight), part in zip(plain.weights(model).items(), parts, strict=True)
    }


def whole_hessian(model, data):
    inputs, labels = (torch.cat(parts) for parts in zip(*data, strict=True))
    names = list(plain.weights(model).values())
    first = torch.autograd.grad(F.cross_entropy(model(inputs), labels), names, create_graph=True)
    flat = torch.cat([gradient.flatten() for gradient in first])
    rows = [torch.autograd.grad(entry, names, retain_graph=True) for entry in flat]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def whole_gauss_newton(model, data):
    inputs = torch.cat([inputs for inputs, _ in data])
    names = list(plain.weights(model).values())
    total = 0.0
    for one in inputs:
        logits = model(one[None])[0]
        rows = [torch.autograd.grad(entry, names, retain_graph=True) for entry in logits]
        jacobian = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])
        p = logits.softmax(0).detach()
        total = total + jacobian.T @ (p.diag() - p[:, None] * p) @ jacobian
    return total / len(inputs)


def tiny():
    torch.manual_seed(0)
    model = plain.Wired(
        lambda m, x: m.head(torch.tanh(m.b(torch.tanh(m.a(x))))),
        a=nn.Linear(3, 5), b=nn.Linear(5, 4), head=nn.Linear(4, 3),
    )  # fmt: skip
    for weight in model.parameters():
        weight.data *= 2
    return model.double(), plain.trace(model, torch.randn(1, 3, dtype=torch.float64))


def test_hutchinson_comes_near_the_diagonal_of_the_whole_hessian():
    model, plan = tiny()
    data = plain.data_for(model, 3, sizes=(6, 4))
    expected = plain.over_units(exact(model, data, whole_hessian), plan)
    found = Hutchinson(data, probes=3000)(model, plan)
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


def test_gauss_newton_comes_near_the_diagonal_of_the_whole_matrix():
    model, plan = tiny()
    data = plain.data_for(model, 3, sizes=(6, 4))
    expected = plain.over_units(exact(model, data, whole_gauss_newton), plan)
    found = GaussNewton([inputs for inputs, _ in data], draws=800)(model, plan)
    np.testing.assert_allclose(found, expected, atol=0.05 * expected.max())


@pytest.mark.parametrize("hessian", ["hutchinson", "gauss-newton"])
def test_estimates_repeat_with_their_seed_and_differ_with_another(hessian):
    model, plan = tiny()
    data = plain.data_for(model, 3)
    one, same, other = (score(model, plan, "hessian", hessian=hessian, data=data, seed=seed) for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()


def test_gauss_newton_refuses_a_network_that_is_no_classifier():
    model = nn.Conv2d(3, 4, 3)
    with pytest.raises(DataError, match=r"\[2, 4, 4, 4\], not logits"):
        GaussNewton([torch.randn(2, 3, 6, 6)])(model, plain.small()[1])
