"""Widths: a network of any cost between two levels of a file, without training.

Its units are those of the level below and, of what the level above adds, as many as fit, the best scores first. It
starts with the weights of the level above and is repaired, as any cut is: fitted to the outputs of the largest level
on images without labels. Where that is not wanted its norms alone are estimated anew (Yu and Huang, "Universally
Slimmable Networks", ICCV 2019, section 3.4).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from elastic.allocation import insert_level
from elastic.checkpoint import load, load_state
from elastic.cutting import inner
from elastic.errors import DataError, FileFormatError
from elastic.fitting import fit
from elastic.importance.batches import Batches, batches, joined
from elastic.metadata import Header, read_header
from elastic.planned import load_plan
from elastic.precision import computable
from elastic.recovery import Progress, reestimate_norms, repair
from elastic.targets import Target, parse_target
from elastic.tensors import take_dtypes
from elastic.told import check_plain_levels


def load_width(
    path: str | Path,
    target: str | Target,
    *,
    data: Batches | None = None,
    recover: bool = True,
    network: Callable[[int], nn.Module] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> nn.Module:
    """Return a network that keeps a target such as `macs=40%`, in eval mode; `data` are batches of inputs.

    It is a level itself, for which no data are needed, where none of the next one's units fits. Without `recover` only
    norms are estimated anew; `options` are those of `repair`. `network` gives that of a level, for a file that names
    none.

    Raises TargetError if no level keeps the target, FileFormatError if the file has no scores, DataError if there are
    no data, and what `load_plan` and `repair` raise.
    """
    planned, header = load_plan(path), read_header(path)
    check_plain_levels(header, path)
    plan = planned.plan
    if planned.scores is None:
        raise FileFormatError(f"{path} holds no scores of units, so nothing says which ones to add; name a level of it")
    wanted = parse_target(target) if isinstance(target, str) else target
    levels, number = insert_level(plan, planned.scores, planned.levels, wanted, **_ranking(header))
    of_level = network or (lambda level: load(path, level, header=header))
    if levels is planned.levels:
        return of_level(number)
    if data is None:
        raise DataError(
            f"{target} lies between two levels of {path}, so it has to be fitted; give images, a few hundred will do, "
            "labels are not looked at"
        )
    state = inner(load_state(path, number), plan, levels, number + 1)
    made = fit(of_level(number), state, plan.sizes(levels, number))
    working = computable(made)
    if recover:
        whole = computable(of_level(len(header.levels) - 1))
        inputs = joined(batches(data, working))
        repair(working, whole, plan, levels, inputs, level=number, progress=progress, **options)
    else:
        reestimate_norms(working, [batch.inputs for batch in batches(data, working)])
    return take_dtypes(working, state).eval()


def _ranking(header: Header) -> dict[str, Any]:
    """Return in which order the units of a file left, as options of `insert_level`."""
    recipe = header.recipe
    found: dict[str, Any] = {name: recipe[name] for name in ("normalisation", "scope") if name in recipe}
    if recipe.get("per", "unit") != "unit":
        found["per"] = recipe["per"]
    return {**found, "round_to": recipe.get("round_to", 1)}
