"""The file format: numpy and safetensors only."""

from elastic.metadata.container import plain_bytes
from elastic.metadata.reader import (
    is_elastic,
    read_axes,
    read_header,
    read_level,
    read_score,
    read_shells,
    read_starts,
    read_units,
    verify_level,
)
from elastic.metadata.schema import Contract, Header, Level, find_level
from elastic.metadata.shells import Block, blocks, core_target, kept, put, take
from elastic.metadata.tensors import DTYPES, Tensor, level_digest, tensor_digest
from elastic.metadata.writer import write, write_plain

__all__ = [
    "DTYPES",
    "Block",
    "Contract",
    "Header",
    "Level",
    "Tensor",
    "blocks",
    "core_target",
    "find_level",
    "is_elastic",
    "kept",
    "level_digest",
    "plain_bytes",
    "put",
    "read_axes",
    "read_header",
    "read_level",
    "read_score",
    "read_shells",
    "read_starts",
    "read_units",
    "take",
    "tensor_digest",
    "verify_level",
    "write",
    "write_plain",
]
