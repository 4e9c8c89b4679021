"""Checkpoint: where the core meets the file. Save all levels at once, load any of them, rebuild the largest.

A file names its model out of the registry and is opened without importing anything that it says; the network of a
level is built, fitted to the level's shapes and given its weights.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from elastic.building import build
from elastic.costs import Cost, CostModel
from elastic.cutting import State, cut, put
from elastic.dtypes import dtype_name
from elastic.errors import FileFormatError, InvalidWeights, PlanMismatch
from elastic.fitting import fit
from elastic.makes import KeptLevel, kept_level, put_together, stood_for, told_by_level
from elastic.metadata import (
    Contract,
    Header,
    Level,
    core_target,
    find_level,
    plain_bytes,
    read_header,
    read_level,
    write,
)
from elastic.metadata import Tensor as Stored
from elastic.plan import LevelArray, Plan
from elastic.planned import Planned, load_plan, plan_to_json
from elastic.proofs import same_bits
from elastic.targets import Target
from elastic.tensors import restored, stored, take_dtypes
from elastic.told import Told, told_of_level
from elastic.version import VERSION

WHOLE = "full"  # the name of the largest level


def save(
    path: str | Path,
    model: nn.Module,
    plan: Plan,
    levels: LevelArray,
    *,
    scores: np.ndarray | None = None,
    names: Sequence[str] = (),
    model_name: str = "",
    arguments: Mapping[str, Any] | None = None,
    input: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    tuned: Mapping[int, State] | None = None,
    made: Mapping[int, nn.Module] | None = None,
    contract: Contract = "exact",
    overwrite: bool = False,
) -> None:
    """Write every level of a model into one file; the largest level is the model, bit for bit.

    `model_name` and `arguments` say how the registry builds it (`elastic/resnet56`, num_classes=10); a file without
    them is loaded into a model that the caller gives. `input` is the preprocessing, `metrics` numbers by level name.
    `tuned` has the state dicts of smaller levels that were trained since the cut: tensors that differ from the cut
    become private to their level. `made` are smaller levels of another make: quantised networks (`elastic.quantise`),
    kept as packed levels and steps, and networks with dynamic gates (`elastic.dynamic`), whose thresholds are private.
    `contract` is what the file says of how its levels came to be.

    Raises InvalidWeights if a weight is not finite, PlanMismatch if plan and model differ; PathError and OutputExists.
    """
    state = model.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise InvalidWeights(f"{name} has values that are not finite; such a network is not saved")
    positions = plan.position_levels(levels)
    names = names or level_names(plan, levels)
    costs = CostModel(plan)
    kept = {level: kept_level(network) for level, network in (made or {}).items()}
    described = tuple(
        _level(name, costs.cost(levels <= number), dict((metrics or {}).get(name, {})), kept.get(number))
        for number, name in enumerate(names)
    )
    header = Header(
        contract=contract,
        levels=described,
        model={"name": model_name, "arguments": dict(arguments or {})},
        input=dict(input or {}),
        recipe={
            "elastic": VERSION,
            **(recipe or {}),
            **told_by_level({names[level]: each for level, each in kept.items()}),
        },
        plan=plan_to_json(plan),
        aliases=plan.aliases,
    )
    write(
        path,
        header,
        {name: stored(tensor) for name, tensor in state.items()},
        positions,
        private=_private(state, plan, levels, tuned or {}, kept, len(names)),
        units={name: {a: u.astype(np.int32) for a, u in axes.items()} for name, axes in plan.axes_of_tensor.items()},
        score=None if scores is None else np.asarray(scores, np.float32),
        overwrite=overwrite,
    )


def save_again(
    path: str | Path,
    header: Header,
    planned: Planned,
    model: nn.Module,
    tuned: Mapping[int, State],
    *,
    recipe: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, float]],
    made: Mapping[int, nn.Module] | None = None,
    contract: Contract = "exact",
    overwrite: bool = False,
) -> None:
    """Write the levels of a file whose weights have changed into another: the same plan, names, model and input."""
    save(
        path, model, planned.plan, planned.levels,
        scores=planned.scores,
        names=[level.name for level in header.levels],
        model_name=str(header.model.get("name", "")),
        arguments=header.model.get("arguments", {}),
        input=header.input,
        recipe={**header.recipe, **recipe},
        metrics=metrics,
        tuned=tuned,
        made=made,
        contract=contract,
        overwrite=overwrite,
    )  # fmt: skip


def load(
    path: str | Path, level: int | str | None = None, *, model: nn.Module | None = None, header: Header | None = None
) -> nn.Module:
    """Return the network of a level, in eval mode; None is the largest.

    It is built by the registry from the name in the file, with the dtypes that were saved, or is `model`, changed to
    the level's shapes.

    Raises UnknownName for a level or model that isn't there, FileFormatError for a file that is damaged, FitError if
    the given model is another network.
    """
    header = header or read_header(path)
    state, own, told = _read(path, header, level)
    if model is None:
        model = take_dtypes(build(header, path), state)
    model = fit(model, state, _attributes(path, header, level)).eval()
    return put_together(model, own, told, str(path)) if told else model


def load_state(path: str | Path, level: int | str | None = None) -> dict[str, Tensor]:
    """Return the state dict of a level; reads that level's bytes only. None is the largest.

    Weights that a level has as packed levels are what these stand for: multiples of their steps. What gates hold is
    left out.
    """
    return _read(path, read_header(path), level)[0]


def _read(path: str | Path, header: Header, level: int | str | None) -> tuple[dict[str, Tensor], State, Told]:
    """Return a level's state dict, its tensors as they are kept, and what is told of its make."""
    own = {name: restored(tensor) for name, tensor in read_level(path, level).items()}
    told = told_of_level(header, level)
    if not told:
        return own, own, told
    found = {**own, **stood_for(own, told, str(path))}
    if missing := sorted(set(header.names) - set(found)):
        raise FileFormatError(f"{path}: nothing stands for {missing[0]!r} of level {level!r}; it is damaged")
    return {name: found[name] for name in header.names}, own, told


def load_around(path: str | Path, core: int | str, level: int | str | None = None) -> dict[str, Tensor]:
    """Return the state dict of a level, None is the largest, with what a smaller one is inside of it.

    Of a core that was trained since the cut this is a start for training the larger level, not what was there before;
    of one that was not, it is the level itself.

    Raises UnknownName for a level that isn't there, PlanMismatch if the core is no smaller one, and what `load_plan`
    raises.
    """
    header, planned = read_header(path), load_plan(path)
    small, large = find_level(header, core), find_level(header, level)
    if small >= large:
        names = [header.levels[number].name for number in (small, large)]
        raise PlanMismatch(f"{names[0]!r} is no smaller level than {names[1]!r}; name one that is, or a larger level")
    steps = np.searchsorted([small, large], planned.levels).astype(np.uint8)  # 0 is in both, 1 in the larger one
    positions, aliases = planned.plan.position_levels(steps), planned.plan.aliases
    state, inside = load_state(path, large), load_state(path, small)
    for name, tensor in state.items():
        if name not in aliases:
            put(tensor, core_target(positions.get(name, {}), 1), inside[name])
    return {name: state[aliases.get(name, name)] for name in state}


def _attributes(path: str | Path, header: Header, level: int | str | None) -> dict[tuple[str, str], int]:
    """Return the widths of a level that no shape tells."""
    if not header.plan.get("attributes"):
        return {}
    planned = load_plan(path)
    return planned.plan.sizes(planned.levels, find_level(header, level))


def level_names(
    plan: Plan, levels: LevelArray, targets: Sequence[Target] = (), bits: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return a name for each level, smallest first: its share of the MACs, or its target if `targets` has one for each.

    `targets` are smallest first, as `elastic.allocation.smallest_first` puts them; `bits` of each smaller level, where
    there are any, end its name.
    """
    costs = CostModel(plan)
    smaller = [costs.cost(levels <= number) for number in range(int(levels.max(initial=0)))]
    few = [f"-{each}" if each else "" for each in bits] or [""] * len(smaller)
    asked = [f"{target}{own}" for target, own in zip(targets, few, strict=False)]
    if len(targets) == len(smaller) == len(set(asked)):
        return (*asked, WHOLE)
    shares = [f"macs={cost.macs / max(1, costs.dense.macs):.1%}{own}" for cost, own in zip(smaller, few, strict=True)]
    unique = [share if shares.count(share) == 1 else f"{share}-{number}" for number, share in enumerate(shares)]
    return (*unique, WHOLE)


def _level(name: str, cost: Cost, metrics: Mapping[str, float], made: KeptLevel | None) -> Level:
    if made is None:
        return Level(name, cost.params, cost.macs, cost.bytes, metrics)
    kinds = {n: (dtype_name(t.dtype), tuple(t.shape)) for n, t in {**made.shared, **made.own}.items()}
    return Level(name, cost.params, cost.macs, plain_bytes(kinds), metrics, own=tuple(made.own), absent=made.absent)


def _private(
    state: State,
    plan: Plan,
    levels: LevelArray,
    tuned: Mapping[int, State],
    made: Mapping[int, KeptLevel],
    count: int,
) -> dict[int, dict[str, Stored]]:
    """Return what levels have for themselves; one that is not smaller than the largest may still differ from it."""
    found: dict[int, dict[str, Stored]] = {}
    for level, own in [*tuned.items(), *((level, each.shared) for level, each in made.items())]:
        lacks = set(made[level].absent) if level in made else set()
        if set(own) | lacks != set(state) or not 0 <= level < count - 1:
            raise PlanMismatch(
                f"tuned level {level} is no smaller level of this model, or has other tensors; cut it first"
            )
        shared = cut(state, plan, levels, level)
        names = [name for name in own if name not in plan.aliases and not same_bits(own[name], shared[name])]
        found[level] = {name: stored(own[name]) for name in names}
    for level, each in made.items():
        found[level] |= {name: stored(tensor) for name, tensor in each.own.items()}
    return found
