"""Gates, what they choose, and gradients by the formulas."""

import pytest
import torch

from elastic.dynamic.opening import chosen, opened, pooled, without_few


@pytest.mark.parametrize("is_sparse", [False, True])
def test_the_gradient_of_a_gate_is_that_of_a_sigmoid(is_sparse):
    scores = torch.linspace(-3, 3, 50, dtype=torch.float64).requires_grad_()
    upstream = torch.randn(50, dtype=torch.float64)
    gates = opened(scores, 2.0, is_sparse)
    (gates * upstream).sum().backward()
    soft = 1 / (1 + torch.exp(-2 * scores.detach()))
    wanted = upstream * 2 * soft * (1 - soft)
    assert torch.equal(gates, (soft > 0.5).double())
    torch.testing.assert_close(scores.grad, wanted * (scores > 0) if is_sparse else wanted)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 1, 4, 4), (2, 3, 1, 1)], ids=["each", "pixel", "channel"])
def test_the_gradients_of_a_choice_are_those_of_its_formula(shape):
    full, base, upstream = (torch.randn(2, 3, 4, 4, dtype=torch.float64) for _ in range(3))
    gates = (torch.rand(shape, dtype=torch.float64) > 0.5).double()
    found = []
    for make in (chosen, lambda one, other, d: d * one + (1 - d) * other):
        given_ = [each.clone().requires_grad_() for each in (full, base, gates)]
        (make(*given_) * upstream).sum().backward()
        found.append([each.grad for each in given_])
    torch.testing.assert_close(found[0], found[1])


def test_a_choice_is_of_the_very_same_bits():
    full, base = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8) * 1e6
    gates = (torch.rand(2, 3, 8, 8) > 0.5).float()
    made = chosen(full, base, gates)
    assert torch.equal(made[gates > 0], full[gates > 0])
    assert torch.equal(made[gates == 0], base[gates == 0])


@pytest.mark.parametrize(("channels", "block"), [(6, 3), (7, 3), (5, 8), (4, 1)])
def test_channels_of_a_block_share_the_mean_of_their_scores(channels, block):
    scores = torch.randn(2, channels, 3, 3, dtype=torch.float64)
    found = pooled(scores, "pixel-block", block)
    for channel in range(channels):
        first = channel // block * block
        torch.testing.assert_close(found[:, channel], scores[:, first : first + block].mean(1))


def test_pixels_share_over_channels_and_channels_over_pixels():
    scores = torch.randn(2, 5, 3, 4)
    torch.testing.assert_close(pooled(scores, "pixel", 8), scores.mean(1, keepdim=True))
    torch.testing.assert_close(pooled(scores, "channel", 8), scores.mean((2, 3), keepdim=True))
    assert pooled(scores, "pixel-channel", 8) is scores


def test_a_channel_with_few_open_pixels_is_closed_for_its_image_alone():
    gates = torch.zeros(2, 2, 2, 2)
    gates[0, 0, 0] = 1  # half
    gates[1, 0, 0, 0] = 1  # a quarter
    found = without_few(gates, 0.5)
    assert torch.equal(found[0], gates[0])
    assert not found[1].any()
