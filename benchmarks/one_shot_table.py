"""The tables of `one_shot.py`, from its records."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from isolated import Record
from one_shot_networks import CASES
from records import markdown, setting

INTRODUCTION = """# Accuracy without training

    ELASTIC_DATA=DIR python benchmarks/one_shot.py{options}
    ELASTIC_DATA=DIR python benchmarks/one_shot.py --table docs/one-shot.md

{setting}

Public checkpoints, cut to a share of their multiply-accumulates and not trained afterwards; top-1 in percent. MACs are
counted by torch's flop counter on the networks as they came out, none above its level.

* **Ours**: `elastic.prune` with {chosen};
  right after the cut, and after the repair: on {images} training images without labels (fewer of large ones: see
  below), {seeds}.
* **torch-pruning**: the best of what it can do, *chosen on the test images*. Tried: L2 and L1 magnitudes, Taylor,
  Hessian (which get the same images with their labels), BN scale, LAMP, FPGM and random; each global, isomorphic and
  per layer; each on all layers, and only on those inside of blocks; in {steps} steps. All networks are tested on
  {screen} of the test images, the best two of a level on all.{fewer}
* **With our norms**: it has nothing to recover with, so also the best with norm statistics estimated anew by
  `elastic.recovery.reestimate_norms` on the same images, again chosen on the test images.
* The standard error of an accuracy on n images is {errors}; that of a
  difference is smaller, as both sides see the same images."""


def table(records: Mapping[str, Record]) -> str:
    """Return the page: what was done, and what came out."""
    rows = [(case.name, level) for case in CASES for level in _levels(records, case.name)]
    parts = [_introduction(records), "## Accuracy", _accuracies(records, rows), "## Ours", _ours(records, rows)]
    return "\n\n".join([*parts, "## torch-pruning's best", _theirs(records, rows), *_failures(records)])


def _introduction(records: Mapping[str, Record]) -> str:
    of_ours = [record for record in records.values() if record["side"] == "ours"]
    of_theirs = [record for record in records.values() if record["side"] == "theirs"]
    threads = max(record["threads"] for record in records.values())
    seeds = {run["seed"] for record in of_ours for run in record["runs"]}
    images = max(record["images"] for record in records.values())
    screen = max((record["screened"] for record in of_theirs), default=500)
    options = f" --images {images} --seeds {' '.join(map(str, sorted(seeds)))} --screen {screen} --threads {threads}"
    sizes = sorted({size for record in records.values() for size in record["tested"].values()}, reverse=True)
    return INTRODUCTION.format(
        options=options,
        setting=setting(
            ("torch", "torchvision", "torch-pruning"),
            records.values(),
            "one thread" if threads == 1 else f"{threads} threads",
        ),
        chosen=" and ".join(sorted({_options(record["options"]) for record in of_ours if record["options"]}))
        or "its defaults",
        images=f"{images:,}",
        seeds="one draw" if len(seeds) < 2 else f"one draw, or mean and standard deviation of {len(seeds)}",
        fewer="".join(f" Of {case} only `{'`, `'.join(ways)}`." for case, ways in _some_ways(of_theirs).items()),
        steps=max((record["steps"] for record in of_theirs), default="-"),
        screen=screen,
        errors=", ".join(f"{50 / math.sqrt(size):.1f} points at most (n = {size:,})" for size in sizes),
    )


def _some_ways(of_theirs: Sequence[Record]) -> dict[str, list[str]]:
    """Return the ways that were tried of each case, as patterns, where not all were."""
    return {record["case"]: record["ways"] for record in of_theirs if record.get("ways", ["*"]) != ["*"]}


def _accuracies(records: Mapping[str, Record], rows: Sequence[tuple[str, float]]) -> str:
    head = (
        "network",
        " MACs",
        " dense",
        " ours, cut",
        " ours, repaired",
        " torch-pruning",
        " with our norms",
        " ahead by",
    )
    lines = []
    for name, level in rows:
        own, other = (records.get(f"{name} {level:.0%} {side}", {}) for side in ("ours", "theirs"))
        for test in (own or other)["tested"]:
            repaired = [run["repaired"][test] for run in own.get("runs", [])]
            best = max((other[kind]["accuracy"][test] for kind in ("cut", "norms") if kind in other), default=None)
            ahead = "-" if best is None or not repaired else f"{statistics.mean(repaired) - best:+.2f}"
            dense = records.get(f"{name} dense")
            lines.append(
                (
                    name if test == "test" else f"{name}, {test}",
                    f"{level:.0%}",
                    f"{dense['accuracy'][test]:.2f}" if dense else "-",
                    _mean([run["cut"][test] for run in own.get("runs", [])]),
                    f"**{_mean(repaired)}**" if repaired else "-",
                    *(_of_theirs(other, kind, test) for kind in ("cut", "norms")),
                    ahead,
                )
            )
    return markdown(head, lines)


def _ours(records: Mapping[str, Record], rows: Sequence[tuple[str, float]]) -> str:
    head = ("network", " asked", " MACs", " images", " scoring, s", " repair, s")
    lines = []
    for name, level in rows:
        if record := records.get(f"{name} {level:.0%} ours"):
            runs = record["runs"]
            share = _share(records, name, max(run["macs"] for run in runs))
            seconds = (f"{statistics.mean(run['seconds'][part] for run in runs):.1f}" for part in ("scoring", "repair"))
            lines.append((name, f"{level:.0%}", share, f"{min(run['used'] for run in runs):,}", *seconds))
    return markdown(head, lines)


def _theirs(records: Mapping[str, Record], rows: Sequence[tuple[str, float]]) -> str:
    head = ("network", " asked", " networks", "after the cut", " MACs", "with our norms", " MACs")
    lines = []
    for name, level in rows:
        if record := records.get(f"{name} {level:.0%} theirs"):
            found = (record.get(kind) for kind in ("cut", "norms"))
            parts = [(one["way"], _share(records, name, one["macs"])) if one else ("-", "-") for one in found]
            lines.append((name, f"{level:.0%}", str(record["tried"]), *parts[0], *parts[1]))
    return markdown(head, lines)


def _failures(records: Mapping[str, Record]) -> Iterator[str]:
    """Yield what went wrong in torch-pruning, by network."""
    found = {record["case"]: record["failures"] for record in records.values() if record["side"] == "theirs"}
    lines = [
        f"* {case}, {len(ways)} ways ({ways[0]}{' and others' if len(ways) > 1 else ''}): {what}"
        for case, failures in found.items()
        for what, ways in failures.items()
    ]
    if lines:
        yield "What failed, and is not among these networks:"
        yield "\n".join(lines)


def _levels(records: Mapping[str, Record], name: str) -> list[float]:
    return sorted({r["level"] for r in records.values() if r["case"] == name and r["side"] != "dense"}, reverse=True)


def _of_theirs(record: Record, kind: str, test: str) -> str:
    if kind in record:
        return f"{record[kind]['accuracy'][test]:.2f}"
    return f"fails: {next(iter(record['failures']), 'no way reaches it')}" if record else "-"


def _share(records: Mapping[str, Record], name: str, macs: int) -> str:
    dense = records.get(f"{name} dense")
    return f"{macs / dense['macs']:.2%}" if dense else "-"


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def _options(options: Mapping[str, object]) -> str:
    return "`" + ", ".join(f"{name}={value!r}" for name, value in options.items()) + "`" if options else "its defaults"
