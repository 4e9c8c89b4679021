"""Fingerprints: SHA-256 of a network's weights, of a plan, of images; the same on every machine."""

import hashlib
from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_leaves

from elastic.cutting import State
from elastic.importance.batches import Batch
from elastic.metadata import level_digest, tensor_digest
from elastic.plan import Plan
from elastic.tensors import stored


def of_weights(state: State) -> str:
    """Return the digest of a state dict, the one that an elastic file has of its largest level."""
    return level_digest({name: tensor_digest(stored(tensor)) for name, tensor in state.items()})


def of_plan(plan: Plan) -> str:
    """Return the digest of the unit of every position."""
    digest = hashlib.sha256()
    for (name, axis), labels in sorted(plan.axes.items(), key=lambda item: item[0]):
        digest.update(f"{name} {axis} {len(labels)}\n".encode())
        digest.update(np.ascontiguousarray(labels, "<i8").tobytes())
    return digest.hexdigest()


def of_inputs(batches: Sequence[Batch]) -> str:
    """Return the digest of the inputs, batch by batch: another division into batches is another one."""
    digest = hashlib.sha256()
    for batch in batches:
        for leaf in tree_leaves(batch.inputs):
            told = tensor_digest(stored(leaf)) if isinstance(leaf, Tensor) else repr(leaf)
            digest.update(f"{told}\n".encode())
        digest.update(b"\n")
    return digest.hexdigest()
