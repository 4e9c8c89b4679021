"""Quantisers: levels, errors, gradients by their formulas, and nothing that moves in eval mode."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elastic.proofs import same_bits
from elastic.quantise.activations import KINDS, Pact, Seen
from elastic.quantise.rounding import rounded, slowed
from elastic.quantise.weights import LearnedWeightQuantiser, WeightQuantiser

BITS = range(2, 9)


def calibrated(kind, bits, values):
    found = KINDS[kind](bits)
    found.calibrate(Seen(bool((values < 0).any()), values.abs().max()[None], values.float().flatten()))
    return found


@pytest.mark.parametrize("bits", BITS)
def test_a_weight_has_all_levels_of_its_bits_and_no_more(bits):
    weight = torch.linspace(-1, 1, 4096)[None]
    found = WeightQuantiser(bits).levels(weight)
    assert found.unique().tolist() == list(range(-(2 ** (bits - 1) - 1), 2 ** (bits - 1)))


@pytest.mark.parametrize("low", [0, -1])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", BITS)
def test_an_input_has_all_levels_of_its_bits_and_no_more(bits, kind, low):
    values = torch.linspace(low, 1, 4096)
    found = calibrated(kind, bits, values).eval().levels(values * 2).unique()
    assert len(found) == (2**bits - 1 if low else 2**bits)
    assert found.dtype == (torch.int8 if low else torch.uint8)


@given(st.integers(2, 8), st.integers(0, 2**16))
def test_what_is_not_clipped_is_at_most_half_a_step_away(bits, seed):
    weight = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    quantiser = WeightQuantiser(bits)
    steps = quantiser.steps(weight)
    assert ((quantiser(weight) - weight).abs() <= steps.view(-1, 1, 1) * (0.5 + 1e-9)).all()


@pytest.mark.parametrize("make", [WeightQuantiser, lambda bits: LearnedWeightQuantiser(bits, torch.zeros(2, 3))])
def test_a_channel_of_zeros_gives_zeros_and_no_nan(make):
    weight = torch.zeros(2, 3, requires_grad=True)
    quantiser = make(4)
    quantiser(weight).sum().backward()
    assert not quantiser(weight).any()
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_those_of_the_formulas(dtype):
    values = (3 * torch.randn(200, dtype=dtype)).requires_grad_()
    step = torch.tensor(0.3, dtype=dtype, requires_grad=True)
    upstream = torch.randn(200, dtype=dtype)
    (rounded(values, step, -7, 7) * upstream).sum().backward()
    scaled = values.detach() / 0.3
    inside = scaled.abs() <= 7
    of_step = torch.where(inside, scaled.round() - scaled, 7 * scaled.sign())  # Esser et al., equation 3
    torch.testing.assert_close(values.grad, upstream * inside)
    torch.testing.assert_close(step.grad, (upstream * of_step).sum(), rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_torch_but_beyond_the_last_level():
    values, step = 3 * torch.randn(4, 50), torch.tensor([0.1, 0.2, 0.3, 0.4])
    scaled = values / step[:, None]
    values = torch.where((scaled.abs() > 6.9) & (scaled.abs() < 7.6), 0, values)  # torch clips half a step later
    upstream = torch.randn(4, 50)
    found = []
    for make in (
        lambda x, s: rounded(x, s, -7, 7),
        lambda x, s: torch._fake_quantize_learnable_per_channel_affine(x, s, torch.zeros(4), 0, -7, 7, 1.0),
    ):
        x, s = values.clone().requires_grad_(), step.clone().requires_grad_()
        made = make(x, s)
        (made * upstream).sum().backward()
        found.append((made.detach(), x.grad, s.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_a_step_learns_more_slowly_the_more_it_rounds():
    step = torch.tensor(2.0, requires_grad=True)
    slowed(step, 25, 4).backward()
    assert float(step.grad) == pytest.approx(0.1)


def test_the_values_are_those_of_torch():
    values = 3 * torch.randn(1000)
    theirs = torch.fake_quantize_per_tensor_affine(values, 0.25, 0, -7, 7)
    assert torch.equal(rounded(values, torch.tensor(0.25), -7, 7), theirs)


@pytest.mark.parametrize("is_signed", [False, True])
def test_a_clip_learns_from_what_it_clips_alone(is_signed):
    values = torch.randn(300, dtype=torch.float64)
    values = (values if is_signed else values.abs()).requires_grad_()
    quantiser = Pact(4)
    quantiser.calibrate(Seen(is_signed, torch.ones(1), values.detach().float()))
    quantiser = quantiser.double()
    with torch.no_grad():
        quantiser.clip.fill_(0.8)
    upstream = torch.randn(300, dtype=torch.float64)
    (quantiser(values) * upstream).sum().backward()
    beyond = values.detach().abs() > 0.8
    assert float(quantiser.clip.grad) == pytest.approx(float((upstream * values.detach().sign() * beyond).sum()))
    torch.testing.assert_close(values.grad, upstream * ~beyond)


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_as_bfloat16_has_the_levels_of_float32(kind):
    quantiser = calibrated(kind, 8, torch.linspace(0, 3.7, 999)).eval()
    inputs = (5 * torch.rand(4, 999)).bfloat16().requires_grad_()
    found = quantiser(inputs)
    assert found.dtype == torch.bfloat16
    numbers = found.detach().float() / quantiser.step().detach()
    assert torch.equal(numbers.round(), quantiser.levels(inputs.detach().float()).float())


@pytest.mark.parametrize("kind", KINDS)
def test_in_eval_mode_nothing_moves_and_no_value_depends_on_others(kind):
    values = torch.randn(8, 4)
    quantiser = calibrated(kind, 4, values).eval()
    before = {name: tensor.clone() for name, tensor in quantiser.state_dict().items()}
    together = quantiser(torch.cat([values, 100 * values]))[:8]
    assert same_bits(together, torch.cat([quantiser(values[i : i + 1]) for i in range(8)]))
    assert all(same_bits(tensor, before[name]) for name, tensor in quantiser.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_brings_the_signs(kind):
    quantiser, other = calibrated(kind, 4, torch.rand(100)), KINDS[kind](4)
    other.load_state_dict(quantiser.state_dict())
    assert (other.lowest, other.highest) == (0, 15)
    assert torch.equal(other.eval()(torch.ones(1)), quantiser.eval()(torch.ones(1)))


def test_the_average_follows_batches_in_training():
    quantiser = calibrated("average", 8, torch.rand(100)).train()
    before = float(quantiser.top)
    quantiser(torch.full((4, 2), 10.0))
    assert float(quantiser.top) == pytest.approx(before + 0.05 * (10 - before))
