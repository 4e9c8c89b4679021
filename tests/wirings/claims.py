"""What must hold of any network that can be traced: cut is masked, costs are counted ones, what was cut comes back."""

import warnings

import torch
from torch.utils.flop_counter import FlopCounterMode

from elastic.costs import CostModel
from elastic.cutting import cut, regrow, shells
from elastic.errors import NothingToPrune
from elastic.fitting import fitted
from elastic.masking import NormsOverWhatStays, masked
from elastic.proofs import relative_error, same_bits
from elastic.tracing import trace
from elastic.tracing.removals import some_removed
from elastic.tracing.twin import meta_twin, place, run

NEAR = 1e-9  # of the output's scale, in float64


def tensors(result):
    """Return all floating tensors in what a network gives, records too."""
    if isinstance(result, torch.Tensor):
        return [result] if result.is_floating_point() else []
    if isinstance(result, dict):
        return [t for value in result.values() for t in tensors(value)]
    if isinstance(result, list | tuple):
        return [t for value in result for t in tensors(value)]
    return tensors(vars(result)) if hasattr(result, "__dict__") else []


def double(example):
    if isinstance(example, torch.Tensor):
        return example.double() if example.is_floating_point() else example
    if isinstance(example, dict):
        return {key: double(value) for key, value in example.items()}
    return tuple(double(value) for value in example) if isinstance(example, list | tuple) else example


def cut_of(model, plan, levels):
    """Return the network of level 0."""
    return fitted(model, cut(model.state_dict(), plan, levels), plan.sizes(levels))


def error_of(model, example, plan, levels):
    """Return how far the cut network is from the masked one."""
    whole = fitted(model, masked(model.state_dict(), plan, levels))
    with NormsOverWhatStays(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got, wanted = (tensors(run(net, example)) for net in (cut_of(model, plan, levels), whole))
    assert len(got) == len(wanted) > 0
    return max(relative_error(a, b) for a, b in zip(got, wanted, strict=True))


def successive(model, example, ratio, cuts):
    """Yield (network, plan, levels), each network cut out of the one before, while there is something to cut."""
    for number in range(cuts):
        try:
            plan = trace(model, example)
        except NothingToPrune:
            assert number, "nothing can be cut at all"
            return
        levels = some_removed(plan, plan.groups, ratio, number)
        yield model, plan, levels
        model = cut_of(model, plan, levels)


def counted(model, example):
    """Return the multiply-accumulates and parameters of a network."""
    with FlopCounterMode(display=False) as counter, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(meta_twin(model), place(example, "meta"))
    return counter.get_total_flops() // 2, sum(p.numel() for p in model.parameters())


def costs_of(plan, levels):
    """Return what the plan says of both."""
    cost = CostModel(plan).cost(levels == 0)
    return cost.macs, cost.params


def comes_back(model, plan, levels):
    """Return whether what was cut can be put back bit for bit."""
    state = model.state_dict()
    grown = regrow(cut(state, plan, levels), shells(state, plan, levels))
    return list(grown) == list(state) and all(same_bits(grown[name], value) for name, value in state.items())


def hidden(model):
    """Return the plain numbers that modules keep, by module and name."""
    return {
        (path, name): value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, int | float | str | list | tuple)
    }
