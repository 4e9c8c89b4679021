"""Weights: which parameters a criterion looks at, by the names that the plan gives them."""

from torch import nn

from elastic.plan import Plan


def weights_of(model: nn.Module, plan: Plan, *, biases: bool = False) -> dict[str, nn.Parameter]:
    """Return the parameters that have elastic axes, by name; a tied one once, under the name that the plan knows.

    Frozen parameters are among them. Biases are left out unless they are asked for.
    """
    found: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        known = plan.aliases.get(name, name)
        if known in plan.axes_of_tensor and parameter.is_floating_point() and (biases or not known.endswith("bias")):
            found[known] = parameter
    return found
