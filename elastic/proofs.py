"""Proofs: that a cut removed what it says and nothing else, and that what is put back is what was there.

Each returns what it measured, or raises ProofFailed with the values that differ.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from elastic.cutting import State, cut
from elastic.errors import ProofFailed
from elastic.fitting import fitted
from elastic.masking import NormsOverWhatStays, masked
from elastic.plan import LevelArray, Plan
from elastic.tracing import Example
from elastic.tracing.twin import outputs, run

CUT_TOLERANCE = 1e-5  # of the output's scale, in float64


@torch.no_grad()
def prove_cut(
    model: nn.Module, plan: Plan, levels: LevelArray, level: int, example: Example, *, tolerance: float = CUT_TOLERANCE
) -> float:
    """Return how far the cut network's outputs are from the masked one's, relative to the largest output.

    Both run in float64 on the CPU on the example; statistics over channels (LayerNorm) count what stays. The model, of
    the largest level, stays as it is.

    Raises ProofFailed if they are further apart than the tolerance.
    """
    whole = fitted(model, model.state_dict()).eval().cpu().double()
    state, inputs = whole.state_dict(), _double(example)
    with NormsOverWhatStays():
        got = outputs(run(fitted(whole, cut(state, plan, levels, level), plan.sizes(levels, level)), inputs))
        wanted = outputs(run(fitted(whole, masked(state, plan, levels, level)), inputs))
    error = max(relative_error(a, b) for a, b in zip(got, wanted, strict=True))
    if not error <= tolerance:
        raise ProofFailed(
            f"level {level}: the cut network differs from the masked one by {error:.2e} of the output, more than "
            f"{tolerance:.0e}; the plan is wrong: please report the model"
        )
    return error


def prove_equal(state: State, original: State) -> int:
    """Return how many tensors there are, all of them bit for bit those of the original.

    A name that the original lacks must be a counter of batches: old checkpoints have none.

    Raises ProofFailed naming the first tensor that differs.
    """
    for name, tensor in original.items():
        if name not in state:
            raise ProofFailed(f"{name} is in the original and not in what was rebuilt")
        if tensor.dtype != state[name].dtype or not same_bits(tensor, state[name]):
            raise ProofFailed(f"{name} differs from the original")
    if extra := [n for n in state if n not in original and not n.endswith("num_batches_tracked")]:
        raise ProofFailed(f"{extra[0]} is not in the original")
    return len(original)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are alike bit for bit, not-a-numbers and signs of zero included."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    a, b = (t.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for t in (a, b))
    return torch.equal(a, b)


def relative_error(got: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, relative to the largest value wanted."""
    if got.shape != wanted.shape:
        raise ProofFailed(f"an output has shape {list(got.shape)}, wanted {list(wanted.shape)}")
    scale = float(wanted.abs().max()) if wanted.numel() else 0.0
    return float((got - wanted).abs().max()) / (scale or 1.0) if wanted.numel() else 0.0


def _double(example: Example) -> Example:
    if isinstance(example, Tensor):
        return example.cpu().double() if example.is_floating_point() else example.cpu()
    if isinstance(example, Mapping):
        return {key: _double(value) for key, value in example.items()}
    return tuple(_double(value) for value in example) if isinstance(example, list | tuple) else example
