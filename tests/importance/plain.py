"""Plain loops over samples, elements and units, straight from the formulas; and networks to try them on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.plan import Plan
from elastic.tracing import trace
from tests.wirings.registry import WIRINGS, Wired, conv, mean

Batch = tuple[Any, Tensor]
REDUCE: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "mean": lambda found: sum(found) / len(found),
    "max": max,
}


def network(name: str) -> tuple[nn.Module, Plan]:
    """A wiring in float64 and eval mode, with norms that do something, and its plan."""
    torch.manual_seed(0)
    model = WIRINGS[name].make()
    plan = trace(model, WIRINGS[name].example())
    for key, tensor in model.state_dict().items():
        if key.endswith(("running_var", "norm.weight", "norm1.weight", "norm2.weight")):
            tensor.uniform_(0.5, 1.5)
        elif key.endswith("running_mean"):
            tensor.uniform_(-0.5, 0.5)
    return model.double().eval(), plan


def small() -> tuple[nn.Module, Plan]:
    """A convolution, a norm, a grouped convolution and a residual sum."""
    torch.manual_seed(0)
    held: dict[str, Any] = {"stem": conv(3, 6), "norm": nn.BatchNorm2d(6), "inner": conv(6, 6, groups=3)}

    def connect(m: Any, x: Tensor) -> Tensor:
        x = F.relu(m.norm(m.stem(x)))
        return m.head(mean(x + m.inner(x)))

    model = Wired(connect, **held, head=nn.Linear(6, 4)).double().eval()
    model.norm.weight.data.uniform_(0.5, 1.5)
    return model, trace(model, torch.randn(1, 3, 8, 8, dtype=torch.float64))


def data_for(model: nn.Module, *shape: int, sizes: Sequence[int] = (4, 3)) -> list[Batch]:
    """Batches of noise, labelled by the network itself but for the first of each batch."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for size in sizes:
        inputs = torch.randn(size, *(shape or (3, 6, 6)), generator=generator, dtype=torch.float64)
        with torch.no_grad():
            logits = model(inputs)
        labels = logits.argmax(1)
        labels[0] = (labels[0] + 1) % logits.shape[1]
        found.append((inputs, labels))
    return found


def weights(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if not name.endswith("bias")}


def over_units(values: dict[str, Tensor], plan: Plan, reduction: str = "sum") -> np.ndarray:
    """Go through all elements, one by one, and note each at the units that it leaves with."""
    found: list[list[float]] = [[] for _ in range(plan.units)]
    for name, tensor in values.items():
        for place in np.ndindex(*tensor.shape):
            for axis in range(tensor.dim()):
                labels = plan.axes.get((name, axis))
                if labels is not None and labels[place[axis]] >= 0:
                    found[labels[place[axis]]].append(tensor[place].item())
    return np.array([REDUCE[reduction](own) if own else 0.0 for own in found])


def squared_gradients_by_sample(
    model: nn.Module, data: list[Batch], names: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """One backward pass a sample."""
    totals = {name: torch.zeros_like(weight) for name, weight in names.items()}
    count = 0
    for inputs, labels in data:
        for number in range(len(labels)):
            loss = F.cross_entropy(model(inputs[number : number + 1]), labels[number : number + 1])
            found = torch.autograd.grad(loss, list(names.values()), allow_unused=True)
            for total, gradient in zip(totals.values(), found, strict=True):
                total += 0 if gradient is None else gradient.square()
            count += 1
    return {name: total / count for name, total in totals.items()}


def mean_gradient(model: nn.Module, data: list[Batch]) -> dict[str, Tensor]:
    """The gradient of the mean loss, all samples in one batch."""
    inputs, labels = (torch.cat(parts) for parts in zip(*data, strict=True))
    names = weights(model)
    found = torch.autograd.grad(F.cross_entropy(model(inputs), labels), list(names.values()))
    return dict(zip(names, found, strict=True))
