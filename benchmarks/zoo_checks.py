"""Whether every cut of a network is right: what the conformance table asks of each model.

Weights are random, norms too, so that nothing hides behind a gain of zero. The four ratios are the levels of one file:
what leaves at .3 has left at .5 too. All that is asked of the library stands in `Subject` and in the checks below it.
"""

import copy
import tempfile
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from isolated import WrongAnswer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import elastic
from elastic.fitting import fit, fitted
from elastic.masking import NormsOverWhatStays, masked
from elastic.plan import Plan
from elastic.proofs import prove_equal, relative_error
from elastic.tracing.removals import some_removed
from elastic.tracing.twin import meta_twin, outputs, random_twin

RATIOS = (0.9, 0.8, 0.5, 0.3)  # of each group's units; their places are the numbers of the levels, smallest first
SEED = 0
TOLERANCE = 1e-5  # of an output's scale, in float64


class Subject:
    """A network with random weights in float32, and its levels."""

    def __init__(self, model: nn.Module, example: Tensor, plan: Plan) -> None:
        self.whole = random_twin(model, SEED)
        self.example = example
        self.plan = plan
        removed = [some_removed(plan, plan.groups, ratio, SEED) for ratio in RATIOS]  # one seed, so they nest
        self.levels = np.sum(removed, axis=0, dtype=np.uint8)
        self._small: tuple[int, nn.Module] | None = None

    @property
    def pruned(self) -> elastic.Pruned:
        """The network and its levels."""
        return elastic.Pruned(self.whole, self.plan, np.zeros(self.plan.units), self.levels, ())

    def cut(self, whole: nn.Module, level: int) -> nn.Module:
        """Return the network of a level of `whole`, which has these weights or others."""
        state = elastic.cut(whole.state_dict(), self.plan, self.levels, level)
        return fitted(whole, state, self.plan.sizes(self.levels, level))

    def small(self, level: int) -> nn.Module:
        """Return the network of a level, the same one as long as the same level is asked for; copy it to change it."""
        if self._small is None or self._small[0] != level:
            self.forget()
            self._small = level, self.cut(self.whole, level)
        return self._small[1]

    def forget(self) -> None:
        """Give back the memory of the last level."""
        self._small = None

    @cached_property
    def is_finite(self) -> bool:
        """Whether float32 holds what the whole network computes with these weights."""
        return _finite(_outputs(self.whole, self.example))

    @cached_property
    def reached(self) -> set[str]:
        """The parameters of the whole network that a gradient reaches."""
        return {name for name, _ in _gradients(self.whole, self.example)}

    @cached_property
    def reached_in_training(self) -> set[str]:
        """The same in training mode, on two images: heads for training only belong to it; none if it can't be run."""
        try:
            return {name for name, _ in _gradients(copy.deepcopy(self.whole).train(), _two(self.example))}
        except Exception:
            return set()


@torch.no_grad()
def distance(subject: Subject, level: int) -> float:
    """Return how far the cut network is from the masked one, in float64: `prove_cut` with fewer copies."""
    subject.forget()
    whole, image = copy.deepcopy(subject.whole).double(), subject.example.double()
    with NormsOverWhatStays():
        got = _outputs(subject.cut(whole, level), image)
        wanted = _outputs(fit(whole, masked(whole.state_dict(), subject.plan, subject.levels, level)), image)
    if not _finite(wanted):
        raise ArithmeticError("float64 does not hold what the masked network computes; nothing can be compared")
    return max(relative_error(a, b) for a, b in zip(got, wanted, strict=True))


def costs(subject: Subject, level: int) -> None:
    """Hold the plan's costs against torch's flop counter and the parameters that are there."""
    small, cost = subject.small(level), subject.pruned.cost(level)
    with FlopCounterMode(display=False) as counter:
        meta_twin(small)(subject.example.to("meta"))
    _same("MACs", cost.macs, counter.get_total_flops() // 2)
    _same("parameters", cost.params, sum(p.numel() for p in small.parameters()))


def forward(subject: Subject, level: int) -> None:
    """Run the cut network in float32."""
    found = _outputs(subject.small(level), subject.example)
    shapes = [list(tensor.shape) for tensor in _outputs(subject.whole, subject.example)]
    _same("shapes of the outputs", [list(tensor.shape) for tensor in found], shapes)
    if subject.is_finite and not _finite(found):
        raise WrongAnswer("outputs are not finite, those of the whole network are")


def backward(subject: Subject, level: int) -> None:
    """Look for a finite gradient in every parameter that gets one in the whole network."""
    found = dict(_gradients(subject.small(level), subject.example))
    _all_reached(subject.reached, found)
    if bad := [name for name, gradient in found.items() if subject.is_finite and not gradient.isfinite().all()]:
        raise WrongAnswer(f"{len(bad)} gradients are not finite, first that of {bad[0]}")


def training(subject: Subject, level: int) -> None:
    """Run the cut network forward and backward as training does."""
    if subject.reached_in_training:
        small = copy.deepcopy(subject.small(level)).train()
        _all_reached(subject.reached_in_training, dict(_gradients(small, _two(subject.example))))


def in_memory(subject: Subject) -> None:
    """Regrow every level from the smallest one and its shells."""
    state = subject.whole.state_dict()
    core = elastic.cut(state, subject.plan, subject.levels)
    prove_equal(elastic.regrow(core, elastic.shells(state, subject.plan, subject.levels)), state)


def in_a_file(subject: Subject) -> None:
    """Save all levels, load the smallest, which must give the same bits, and the largest, which must have them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        subject.pruned.save(path)
        loaded = elastic.load(path, level=0, model=_blank(subject.whole))
        got, wanted = _outputs(loaded, subject.example), _outputs(subject.small(0), subject.example)
        if subject.is_finite and not all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True)):
            raise WrongAnswer("the smallest level out of the file gives other outputs")
        del loaded
        prove_equal(elastic.load(path, model=_blank(subject.whole)).state_dict(), subject.whole.state_dict())


OF_A_LEVEL: dict[str, Callable[[Subject, int], None]] = {
    "costs": costs,
    "forward": forward,
    "backward": backward,
    "training": training,
}
OF_ALL_LEVELS: dict[str, Callable[[Subject], None]] = {"regrow": in_memory, "file": in_a_file}


def _outputs(model: nn.Module, image: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return outputs(model(image))


def _gradients(model: nn.Module, image: Tensor) -> list[tuple[str, Tensor]]:
    torch.manual_seed(SEED)  # dropout and the like
    loss = sum(tensor.mean() for tensor in outputs(model(image)))
    if not isinstance(loss, Tensor):
        raise WrongAnswer("there is no output to come back from")
    loss.backward()  # type: ignore[no-untyped-call]
    found = [(name, p.grad) for name, p in model.named_parameters() if p.grad is not None]
    model.zero_grad()
    return found


def _two(image: Tensor) -> Tensor:
    return torch.cat([image, image.flip(-1)])  # norms of a single value per channel can't train


def _blank(model: nn.Module) -> nn.Module:
    """Return a copy whose every stored tensor is zero, so that what a file brings can be told from what was there."""
    blank = copy.deepcopy(model)
    for tensor in blank.state_dict().values():
        tensor.zero_()
    return blank


def _finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _same(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise WrongAnswer(f"{what}: {got}, where {wanted} is right")


def _all_reached(wanted: set[str], found: dict[str, Tensor]) -> None:
    if missing := sorted(wanted - set(found)):
        raise WrongAnswer(f"no gradient reaches {len(missing)} parameters any more, first {missing[0]}")
