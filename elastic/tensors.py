"""From torch's tensors to the file's and back, without copies where the memory allows."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from elastic.dtypes import DTYPES, dtype_name
from elastic.metadata import Tensor as Stored

BITS = {1: torch.uint8, 2: torch.uint16}  # for dtypes that numpy lacks
NUMPY_LACKS = {torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}


def stored(tensor: Tensor) -> Stored:
    """Return a tensor as the file keeps it; shares memory with a contiguous one on the CPU."""
    here = tensor.detach().cpu().contiguous()
    bits = here.view(BITS[here.itemsize]) if here.dtype in NUMPY_LACKS else here
    return Stored(dtype_name(tensor.dtype), bits.numpy())


def restored(tensor: Stored) -> Tensor:
    """Return the torch tensor of a stored one, sharing its memory."""
    bits = torch.from_numpy(np.ascontiguousarray(tensor.bits).reshape(tensor.bits.shape))
    return bits.view(DTYPES[tensor.dtype])


def take_dtypes(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Change the model's floating-point parameters and buffers to the dtypes of a state dict, and return it."""
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name in state and tensor.is_floating_point() and state[name].is_floating_point():
            tensor.data = tensor.data.to(state[name].dtype)
    return model
