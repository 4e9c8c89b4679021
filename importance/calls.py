"""Calls: each use of a weight in a run of the network, seen at torch's functions instead of at modules.

So a functional call counts as a module does, and a weight that two modules share is seen at both. A function that is
not in the list, and gets a weight all the same, is a stray: its weight can't be treated in closed form.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from elastic import watching
from elastic.watching import Watch

CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
RUNNING = ("input", "running_mean", "running_var", "weight", "bias")

PARAMETERS: Mapping[Any, tuple[str, ...]] = {
    F.linear: CONVOLUTION[:3],
    F.conv1d: CONVOLUTION,
    F.conv2d: CONVOLUTION,
    F.conv3d: CONVOLUTION,
    F.conv_transpose1d: TRANSPOSED,
    F.conv_transpose2d: TRANSPOSED,
    F.conv_transpose3d: TRANSPOSED,
    F.batch_norm: (*RUNNING, "training", "momentum", "eps"),
    F.instance_norm: (*RUNNING, "use_input_stats", "momentum", "eps"),
    F.layer_norm: ("input", "normalized_shape", "weight", "bias", "eps"),
    F.group_norm: ("input", "num_groups", "weight", "bias", "eps"),
    F.rms_norm: ("input", "normalized_shape", "weight", "eps"),
}


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a function with a weight. `names` has the names of the weights by the role that they play."""

    function: Any
    arguments: Mapping[str, Any]
    names: Mapping[str, str]
    output: Tensor

    @property
    def input(self) -> Tensor:
        """What the function was called on."""
        return self.arguments["input"]  # type: ignore[no-any-return]

    @property
    def weight(self) -> str | None:
        """The name of the weight proper; None if only the bias is looked at."""
        return self.names.get("weight")


class Calls(Watch):
    """While it is entered, hands every call of a known function to `see`, and keeps the names of `strays`."""

    def __init__(self, weights: Mapping[str, nn.Parameter], see: Callable[[Call], None]) -> None:
        super().__init__(self._run)
        self.names = {id(weight): name for name, weight in weights.items()}
        self.see = see
        self.strays: set[str] = set()

    def _run(self, call: watching.Call) -> Any:
        result = call.run()
        used = [self.names[id(leaf)] for leaf in tree_leaves((call.args, call.kwargs)) if id(leaf) in self.names]
        if used and any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            self._sort(call, result, used)
        return result

    def _sort(self, call: watching.Call, result: Any, used: list[str]) -> None:
        arguments = {**dict(zip(PARAMETERS.get(call.func, ()), call.args, strict=False)), **call.kwargs}
        roles = [role for role in ("weight", "bias") if id(arguments.get(role)) in self.names]
        names = {role: self.names[id(arguments[role])] for role in roles}
        if call.func in PARAMETERS and sorted(names.values()) == sorted(used):
            self.see(Call(call.func, arguments, names, result))
        else:
            self.strays.update(used)
