"""`elastic prune`: cut a trained network to one or more targets and keep everything in one file."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.forecasting import open_table, tell_times
from elastic.cli.groups import takes_groups
from elastic.cli.printing import Steps, count, note, say, show, table
from elastic.sizes import parse_size, size_text

if TYPE_CHECKING:
    from elastic.cli.networks import Opened
    from elastic.pruning import Pruned


@takes_groups
def prune(
    *,
    model: options.Model,
    output: options.Output,
    target: Annotated[
        list[str],
        typer.Option(
            help="macs=50%, params=1.2M, size=3MB, memory=8MB (held at once while it runs), latency=8ms (with "
            "--latency-table); several limits with commas; repeat it for more levels."
        ),
    ],
    weights: options.Weights = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="Prune a network with random weights.")] = False,
    data: options.Data = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="What ranks units: magnitude (the default), magnitude-l1, norm-scale, lamp, fpgm, random; with --data "
            "energy (then the default), activation, taylor, taylor-signed, hessian; with --gates those."
        ),
    ] = None,
    gates: Annotated[
        Path | None, typer.Option(help="Rank units as learned gates closed: a file that `elastic gate channels` wrote.")
    ] = None,
    reduction: options.Reduction = None,
    hessian: options.Hessian = None,
    calibration: Annotated[
        int, typer.Option(min=1, help="Training images for criteria that need data, and for the repair.")
    ] = 512,
    recover: Annotated[
        bool | None,
        typer.Option(
            "--recover/--no-recover",
            help="Fit each smaller level to the whole network's outputs, without labels. Done if there is --data.",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Steps in which the repair changes a layer for the next (2 unless given); 0: least squares alone.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Bytes that the repair may take: 2GiB, 500MB (half of what is free unless given); more images "
            "than fit are taken in parts."
        ),
    ] = None,
    normalisation: options.Normalisation = None,
    scope: options.Scope = None,
    per: options.Per = None,
    share: options.Share = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="Widths by measured losses, not by ranking: the file that `elastic sensitivity` wrote."),
    ] = None,
    latency_table: Annotated[
        Path | None,
        typer.Option(
            help="For targets of time, as latency=60%: what `elastic profile` measured of this network on this device. "
            "Levels are timed beside the whole network, and cut again until they hold."
        ),
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option(
            help="greedy: units leave in one order; milp: widths are chosen by integer programmes, the default for "
            "targets of time where scores are losses, as energy."
        ),
    ] = None,
    bounds: options.Bounds,
    engine: options.Engine = "elastic",
    seed: options.Seed = 0,
    opening: options.Opening,
    limit: options.Limit = None,
    batch: options.Batch = 250,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Cut a trained network to one or more targets; what is cut stays in the file.

    Example: elastic prune elastic/resnet56 --weights w.safetensors --target macs=50% -o net.safetensors
    """
    import torch

    from elastic import proofs, pruning
    from elastic.cli.networks import check_output, measure, open_data, open_model
    from elastic.errors import UnknownName
    from elastic.importance import NEED_DATA, NoInformation
    from elastic.targets import parse_target

    check_output(output, overwrite)
    targets = [parse_target(text) for text in target]
    shares = options.shares(share or [], scope)
    how = _repair(rounds, memory, recover, data)
    if (weights is None) is not untrained:
        given = "no weights were given" if weights is None else "--weights and --untrained were given both"
        raise UnknownName(f"{given}; pass --weights FILE, or --untrained to prune a network of random weights")
    if weights is None:
        torch.manual_seed(seed)
    opened = open_model(model, weights, **opening.asked)
    images = None if data is None else open_data(data, opened.preprocessing, download)
    learned_from = None
    if data is not None or recover or criterion in NEED_DATA:
        learned_from = _learned_from(
            opened, data, calibration, batch, seed, download, recover or criterion in NEED_DATA
        )
    table = None if latency_table is None else open_table(latency_table, opened, bounds.asked, engine, len(targets))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", NoInformation)
        pruned = pruning.prune(
            opened.model, opened.example, target=targets, criterion=criterion,
            normalisation=normalisation, scope=shares or scope, per=per,  # type: ignore[arg-type]
            **bounds.asked, engine=engine, seed=seed,
            reduction=reduction, hessian=hessian, data=learned_from, recover=False, curves=curves,  # type: ignore[arg-type]
            gates=gates, latency_table=table, solver=solver, progress=tell_times,  # type: ignore[arg-type]
        )  # fmt: skip
    for warning in told:
        note(f"note: {warning.message}")
    plan = pruned.plan
    note(f"{plan.units:,} units in {len(plan.groups)} groups; {len(plan.frozen)} axes frozen (elastic doctor)")

    def test(pruned: "Pruned", number: int, what: str) -> dict[str, Any]:
        if images is None:
            return {}
        metrics = measure(pruned.level(number), images, what=what, batch=batch, limit=limit)
        return {"top1": metrics.top1, "images": metrics.images}

    rows: list[dict[str, Any]] = []
    for number, name in enumerate(pruned.names):
        row: dict[str, Any] = {"level": name, **_cost(pruned, number), **test(pruned, number, f"testing {name}")}
        if number < len(pruned.names) - 1:
            row["masked_equals_cut"] = proofs.prove_cut(
                opened.model, pruned.plan, pruned.levels, number, opened.example
            )
        rows.append(row)
    if recover is not False and learned_from is not None:
        with Steps("fitting layers") as progress:
            inputs = pruning.inputs_of(learned_from, opened.model)
            pruned = pruned.recovered(inputs, seed=seed, progress=progress, **how)
        for number, row in enumerate(rows[:-1]):
            before = {"top1_after_the_cut": row["top1"]} if "top1" in row else {}
            row |= {**before, **test(pruned, number, f"testing {row['level']}, fitted")}
    pruned.save(
        output,
        model_name=opened.name,
        arguments=opened.arguments,
        input=opened.preprocessing.to_dict(),
        metrics={row["level"]: {key: row[key] for key in ("top1", "ms") if key in row} for row in rows},
        overwrite=overwrite,
    )
    written = output.stat().st_size
    result = {"output": str(output), "bytes": written, "levels": rows}
    show(result, json, lambda: _render(rows, f"{output}: {len(rows)} levels in {size_text(written)}"))


def _repair(rounds: int | None, memory: str | None, recover: bool | None, data: str | None) -> dict[str, Any]:
    """Return the options of the repair that were given. Raises UnknownName if nothing is to be repaired."""
    from elastic.errors import UnknownName

    how: dict[str, Any] = {} if rounds is None else {"rounds": rounds}
    if memory is not None:
        how["memory"] = parse_size(memory)
    if how and (recover is False or data is None):
        why = "--no-recover; leave one of them out" if recover is False else "there are no images; give --data"
        raise UnknownName(f"--{next(iter(how))} says how to repair, but nothing is repaired: {why}")
    return how


def _learned_from(
    opened: "Opened", data: str | None, count: int, batch: int, seed: int, download: bool, is_needed: bool
) -> Any:
    """Return batches of training images; None, with a word, where there are none and they were not asked for."""
    from elastic.cli.networks import open_calibration
    from elastic.errors import DataError

    try:
        return open_calibration(data, opened.preprocessing, count, batch, seed, download)
    except DataError as reason:
        if is_needed:
            raise
        note(f"note: units are ranked without images, and the network is not repaired: {reason}")
        return None


def _cost(pruned: Any, level: int) -> dict[str, Any]:
    cost, dense = pruned.cost(level), pruned.cost(len(pruned.names) - 1)
    found = {"params": cost.params, "macs": cost.macs, "bytes": cost.bytes, "share_of_macs": cost.macs / dense.macs}
    if any(limit.quantity == "memory" for target in pruned.targets for limit in target.limits):
        found |= {"peak_bytes": cost.peak_bytes, "share_of_memory": cost["memory"] / dense["memory"]}
    held = pruned.held[level] if level < len(pruned.held) else None
    if held is None:
        return found
    found |= {"ms": 1e3 * held.seconds, "share_of_ms": held.seconds / held.whole}
    return found if held.uniform is None else {**found, "share_of_ms_of_a_uniform_cut": held.uniform / held.whole}


def _render(rows: list[dict[str, Any]], summary: str) -> None:
    memory = ["memory", "of whole"] if "peak_bytes" in rows[0] else []
    times = ["ms", "of whole", "uniform cut"] if any("ms" in row for row in rows) else []
    accuracy = [*(["cut"] if "top1_after_the_cut" in rows[0] else []), *(["top-1"] if "top1" in rows[0] else [])]
    table(
        ["level", "params", "MACs", "of dense", "size", *memory, *times, *accuracy, "masked = cut"],
        [_row(row, times, accuracy) for row in rows],
    )
    say(summary)


def _row(row: dict[str, Any], times: list[str], accuracy: list[str]) -> list[str]:
    costs = [count(row["params"]), count(row["macs"]), f"{row['share_of_macs']:.2%}", size_text(row["bytes"])]
    if "peak_bytes" in row:
        costs += [size_text(row["peak_bytes"]), f"{row['share_of_memory']:.1%}"]
    if times:
        costs += [f"{row['ms']:.3g}", f"{row['share_of_ms']:.1%}"] if "ms" in row else ["", ""]
        uniform = row.get("share_of_ms_of_a_uniform_cut")
        costs.append("" if uniform is None else f"{uniform:.1%}")
    measured = {"cut": row.get("top1_after_the_cut"), "top-1": row.get("top1")}
    found = ["" if measured[head] is None else f"{measured[head]:.2f} %" for head in accuracy]
    proof = f"{row['masked_equals_cut']:.0e}" if "masked_equals_cut" in row else ""
    return [row["level"], *costs, *found, proof]
