"""Names of dtypes: torch's on one side, safetensors' on the other."""

import torch

NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
    torch.bool: "BOOL", torch.complex64: "C64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
DTYPES = {name: dtype for dtype, name in NAMES.items()}


def dtype_name(dtype: torch.dtype) -> str:
    """Return safetensors' name of a dtype.

    Raises TypeError if the format has none.
    """
    if dtype not in NAMES:
        raise TypeError(f"safetensors has no name for {dtype}; convert the model first")
    return NAMES[dtype]


def size_of(name: str) -> int:
    """Return the bytes of one element, by safetensors' name."""
    return DTYPES[name].itemsize
