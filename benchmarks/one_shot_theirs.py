"""torch-pruning's side of `one_shot.py`: all that it can try, and the best of that.

Every importance in every scope, all layers or only those inside of blocks, is a **way**. Each is pruned by the library
in `STEPS` steps, towards no channels at all, and the first network at or below each level is taken. Its importances are
computed anew in each step from the weights that are left. What needs gradients gets them, from labelled images, once,
for the whole network: the library cuts them along with the weights. Its Hessian would keep the last sample only
(`accumulate_grad` asks by name for what it files by parameter), so the mean of the squared gradients is put in for it.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
import torch_pruning as tp
from one_shot_networks import Accuracy, Subject, macs_of, top1
from torch import Tensor, nn
from torch_pruning.pruner.importance import FPGMImportance

import elastic
from elastic.plan import Plan
from elastic.recovery import reestimate_norms

STEPS = 200
FINALISTS = 2  # of each level, that are tested on all images
LABELLED = 1024  # images for gradients, at most

IMPORTANCES: dict[str, Callable[[], tp.importance.Importance]] = {
    "magnitude L2": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    "magnitude L1": lambda: tp.importance.GroupMagnitudeImportance(p=1),
    "Taylor": tp.importance.GroupTaylorImportance,
    "Hessian": tp.importance.GroupHessianImportance,
    "BN scale": tp.importance.BNScaleImportance,
    "LAMP": tp.importance.LAMPImportance,
    "FPGM": FPGMImportance,
    "random": tp.importance.RandomImportance,
}
SCOPES = {
    "global": {"global_pruning": True},
    "isomorphic": {"global_pruning": True, "isomorphic": True},
    "per layer": {"global_pruning": False},
}
LAYERS = ("all layers", "inner layers")

Gradients = dict[str, dict[str, Tensor]]  # by importance and the parameter's name


@dataclass(frozen=True)
class Way:
    """One way to use the library."""

    importance: str
    scope: str
    layers: str

    def __str__(self) -> str:
        return f"{self.importance}, {self.scope}, {self.layers}"


WAYS = tuple(Way(name, scope, layers) for layers in LAYERS for name in IMPORTANCES for scope in SCOPES)


@dataclass(eq=False)
class Candidate:
    """A network that was pruned to a level; accuracies in percent, of some test images and then of all."""

    way: Way
    macs: int
    network: nn.Module
    some: dict[str, float] = field(default_factory=dict)  # right after the cut, and with norms estimated anew
    all: dict[str, Accuracy] = field(default_factory=dict)


@dataclass(eq=False)
class Found:
    """What reached each level, and why what did not."""

    candidates: dict[float, list[Candidate]]
    failures: dict[str, list[str]] = field(default_factory=dict)  # ways by what went wrong


def search(
    subject: Subject, levels: Sequence[float], batches: Sequence[tuple[Tensor, Tensor]], ways: Sequence[Way] = WAYS
) -> Found:
    """Return a candidate of each way for each level that it reaches, but no network twice."""
    model, example = subject.model, subject.example
    plan = elastic.trace(model, example)
    gradients = gradients_of(model, batches) if {way.importance for way in ways} & {"Taylor", "Hessian"} else {}
    inner, all_layers = inner_only(model, plan), head_only(model)
    found = Found({level: [] for level in levels})
    for way in ways:
        if way.layers == "inner layers" and inner == all_layers:
            continue  # a network without sums
        ignored = all_layers if way.layers == "all layers" else inner
        try:
            for level, network, macs in pruned(model, example, way, ignored, gradients, levels):
                if not any(_are_equal(network, known.network) for known in found.candidates[level]):
                    found.candidates[level].append(Candidate(way, macs, network))
        except Exception as reason:  # whatever it raises is its answer
            what = f"{type(reason).__name__}: {(str(reason).splitlines() or [''])[0][:120]}"
            found.failures.setdefault(what, []).append(str(way))
    return found


def pruned(
    model: nn.Module, example: Tensor, way: Way, ignored: set[str], gradients: Gradients, levels: Sequence[float]
) -> Iterator[tuple[float, nn.Module, int]]:
    """Yield the levels, from the largest, with their networks and MACs.

    Raises what the library raises, ValueError if it stops short of a level.
    """
    network = copy.deepcopy(model).requires_grad_(True)
    torch.manual_seed(0)  # of the random importance
    for name, parameter in network.named_parameters():
        found = gradients.get(way.importance, {}).get(name)
        parameter.grad = None if found is None else found.clone()
    pruner = tp.pruner.BasePruner(
        network, example, IMPORTANCES[way.importance](), pruning_ratio=1.0, iterative_steps=STEPS,
        ignored_layers=[module for name, module in network.named_modules() if name in ignored], **SCOPES[way.scope],
    )  # fmt: skip
    left, dense, macs = sorted(levels), macs_of(network, example), 0
    for _ in range(STEPS):
        pruner.step()
        macs = macs_of(network, example)
        while left and macs <= left[-1] * dense:
            yield left.pop(), _without_gradients(network), macs
        if not left:
            return
    raise ValueError(f"stops at {macs / dense:.0%} of the MACs")


def best(
    subject: Subject, candidates: Sequence[Candidate], batches: Sequence[tuple[Tensor, Tensor]], screen: int
) -> dict[str, Candidate]:
    """Return the best right after the cut, and with norms estimated anew; nothing if there is no candidate.

    All are tested on `screen` of the test images, the first few of each list on all of them: they are chosen on what
    they are judged by.
    """
    inputs, some = [images for images, _ in batches], subject.some(screen)
    for one in candidates:
        one.some["cut"] = top1(one.network, some)
        one.some["norms"] = top1(with_norms(one.network, inputs[: -(-screen // len(inputs[0]))]), some)
    chosen = {}
    for kind in ("cut", "norms"):
        first = sorted(candidates, key=lambda one, kind=kind: -one.some[kind])[:FINALISTS]
        for one in first:
            one.all[kind] = subject.accuracy(one.network if kind == "cut" else with_norms(one.network, inputs))
        if first:
            chosen[kind] = max(first, key=lambda one, kind=kind: sum(one.all[kind].values()))
    return chosen


def with_norms(network: nn.Module, inputs: Sequence[Tensor]) -> nn.Module:
    """Return a copy whose norms' statistics are those of the inputs."""
    network = copy.deepcopy(network)
    reestimate_norms(network, inputs)
    return network


def gradients_of(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> Gradients:
    """Return the gradient of the mean loss for Taylor, and the mean of single samples' squared ones for the Hessian."""
    names = [name for name, _ in model.named_parameters()]
    means = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    squares = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    images, labels = (torch.cat(parts)[:LABELLED] for parts in zip(*batches, strict=True))
    for image, label in zip(images, labels, strict=True):
        loss = F.cross_entropy(model(image[None]), label[None])
        for name, found in zip(names, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            means[name] += found / len(labels)
            squares[name] += found**2 / len(labels)
    return {"Taylor": means, "Hessian": squares}


def head_only(model: nn.Module) -> set[str]:
    """Return the name of the classifier, which must keep its outputs."""
    return {[name for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1]}


def inner_only(model: nn.Module, plan: Plan) -> set[str]:
    """Return the names of the layers whose outputs stay if only what is inside of blocks may leave.

    Those whose outputs never leave by our plan, or leave together with another layer's: what goes into sums.
    """
    outputs = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and getattr(module, "groups", 1) == 1:
            labels = plan.axes.get((f"{name}.weight", 0))
            outputs[name] = set() if labels is None else set(labels[labels >= 0].tolist())
    producers = Counter(unit for units in outputs.values() for unit in units)
    return {name for name, units in outputs.items() if not units or any(producers[unit] > 1 for unit in units)}


def _without_gradients(network: nn.Module) -> nn.Module:
    """Return a copy, which leaves the gradients behind."""
    return copy.deepcopy(network).requires_grad_(False).eval()


def _are_equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)
